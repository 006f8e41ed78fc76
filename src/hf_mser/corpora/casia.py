"""CASIA: four Mandarin speakers, the public part of fifty sentences in six emotions."""

from .definition import Corpus, Expected
from .reading import by_name, people

CORPUS = Corpus(
    name="casia",
    title="CASIA Mandarin emotional speech, public part",
    language="zh",
    licence="restricted: research evaluation under the agreement of the Chinese LDC, no redistribution",
    citation="Tao et al., Design of Speech Corpus for Mandarin Text to Speech, Blizzard Challenge 2008",
    homepage="https://aistudio.baidu.com/datasetdetail/209512",
    layout="liuchanhg/angry/201.wav: speaker, emotion, sentence",
    reader=by_name(
        r"(?P<speaker>\w+)/(?P<label>[a-z]+)/(?P<sentence>\d+)\.wav",
        genders=people(female="liuchanhg zhaoquanyin", male="wangzhe ZhaoZuoxiang zhaozuoxiang"),
        # Copies spell this one name in two ways; it is one man.
        details=lambda groups: (
            groups | {"speaker": "ZhaoZuoxiang"} if groups["speaker"].lower() == "zhaozuoxiang" else groups
        ),
    ),
    expected=Expected(
        clips=1200,
        speakers=4,
        labels=dict.fromkeys(("neutral", "happy", "sad", "angry", "surprise", "fear"), 200),
    ),
    validation=("wangzhe",),
    test=("liuchanhg",),
    notes=("Every speaker says the same fifty sentences in every emotion.",),
)
