"""The definitions: one for every corpus of the papers, each complete and free of contradictions."""

import pytest

from hf_mser.corpora import CorpusError, CorpusNotFoundError, get, names
from hf_mser.corpora.definition import Corpus, View, spread
from hf_mser.corpora.reading import by_name
from hf_mser.emotions import CORPUS_LABELS, EMOTIONS, UnknownLabelError, emotion_of_label

# What the papers use: MSER trains and tests, EDRL, SERE, and the corpora beside them.
MSER = {"iemocap", "meld", "mead", "cmu_mosei", "msp_podcast", "aesdd", "ravdess", "resd", "shemo"}
EDRL = {"meld", "esd", "emodb", "cafe", "urdu"}
SERE = {"emodb", "casia", "enterface", "emovo"}
OTHERS = {"crema_d", "tess", "savee", "nemo", "subesco", "turev_db", "baved", "jl", "emov_db", "emozionalmente", "mesd"}
SHARED = {"emotiontts_ko", "spanish_uem"}

LANGUAGES = {
    "aesdd": "el", "baved": "ar", "cafe": "fr", "casia": "zh", "cmu_mosei": "en", "crema_d": "en", "emodb": "de",
    "emotiontts_ko": "ko", "emov_db": "en", "emovo": "it", "emozionalmente": "it", "enterface": "en", "esd": "zh",
    "iemocap": "en", "jl": "en", "mead": "en", "meld": "en", "mesd": "es", "msp_podcast": "en", "nemo": "pl",
    "ravdess": "en", "resd": "ru", "savee": "en", "shemo": "fa", "spanish_uem": "es", "subesco": "bn", "tess": "en",
    "turev_db": "tr", "urdu": "ur",
}  # fmt: skip


def test_every_corpus_of_the_papers_is_here():
    assert set(names()) == MSER | EDRL | SERE | OTHERS | SHARED
    assert list(names()) == sorted(names())


@pytest.mark.parametrize("name", names())
def test_a_definition_is_complete(name):
    corpus = get(name)
    assert corpus.name == name
    assert corpus.language == LANGUAGES[name]
    for text in (corpus.title, corpus.licence, corpus.citation, corpus.homepage, corpus.layout):
        assert text.strip() == text != ""
    assert corpus.homepage.startswith("http")
    assert set(corpus.labels.values()) <= {*EMOTIONS, None}
    for label, count in corpus.expected.labels.items():
        corpus.emotion(label)
        assert count > 0
    if corpus.expected.clips and corpus.expected.labels:
        assert sum(corpus.expected.labels.values()) == corpus.expected.clips
    if corpus.expected.labels:
        assert set(corpus.expected.labels) <= set(corpus.labels)


@pytest.mark.parametrize("name", names())
def test_a_split_is_fixed_and_never_shares_a_speaker(name):
    corpus = get(name)
    assert not set(corpus.validation) & set(corpus.test)
    kinds = [bool(corpus.single_split), corpus.official_keeps_speakers_apart, bool(corpus.test or corpus.hashed_split)]
    assert kinds.count(True) == 1, "a corpus is divided in exactly one way"
    for speaker in corpus.test:
        assert corpus.split_of(speaker) == "test"
    for speaker in corpus.validation:
        assert corpus.split_of(speaker) == "validation"


@pytest.mark.parametrize("name", names())
def test_views_hold_what_the_corpus_holds(name):
    corpus = get(name)
    seven = corpus.views["7-class"]
    assert len(set(seven.classes)) == len(seven.classes) <= 7
    if "4-class" in corpus.views:
        assert corpus.views["4-class"].classes == ("neutral", "happy", "sad", "angry")
    reached = {seven.emotion(name, label) for label in corpus.labels}
    assert reached - {None} == set(seven.classes)


def test_the_label_maps_of_the_papers():
    iemocap, meld, resd = get("iemocap"), get("meld"), get("resd")
    four = iemocap.views["4-class"]
    assert four.emotion("iemocap", "hap") == four.emotion("iemocap", "exc") == "happy"
    assert four.emotion("iemocap", "fru") is None
    assert four.emotion("iemocap", "sur") is None
    clips = sum(count for label, count in iemocap.expected.labels.items() if four.emotion("iemocap", label))
    assert clips == 5531, "the four-class IEMOCAP of the literature"
    assert meld.views["7-class"].emotion("meld", "joy") == "happy"
    assert meld.views["7-class"].classes == EMOTIONS
    assert resd.views["7-class"].emotion("resd", "enthusiasm") == "enthusiastic"
    assert resd.emotion("enthusiasm") is None
    assert len(get("shemo").views["7-class"].classes) == 6
    assert len(get("aesdd").views["7-class"].classes) == 5
    assert get("ravdess").views["7-class"].classes == EMOTIONS


def test_the_caveats_that_protocols_obey():
    assert get("urdu").single_split == "test"
    assert {get("urdu").split_of(f"SM{number}") for number in range(1, 28)} == {"test"}
    assert not get("baved").emotional
    assert [name for name in names() if not get(name).emotional] == ["baved"]
    shipped = {name for name in names() if get(name).trains_published_weights}
    assert shipped == {"crema_d", "emodb", "nemo", "emotiontts_ko"}


def test_names_are_found_however_they_are_written():
    assert get("CREMA-D") is get("cremad") is get("crema_d")
    assert get("MSP-Podcast").name == "msp_podcast"
    with pytest.raises(CorpusNotFoundError, match=r"no corpus 'emo'\. Known corpora: aesdd, baved"):
        get("emo")


def test_unknown_labels_name_corpus_label_and_the_known_ones():
    with pytest.raises(UnknownLabelError, match=r"urdu: unknown label 'Bored'\. Known labels: Neutral, Happy"):
        emotion_of_label("urdu", "Bored")
    with pytest.raises(UnknownLabelError, match="no label map for the corpus 'klingon'"):
        emotion_of_label("klingon", "angry")


def test_the_table_holds_nothing_that_no_corpus_needs():
    assert set(CORPUS_LABELS) == {*names(), "emobox"}


def test_spread_is_eighty_ten_ten_and_never_changes():
    sides = [spread(f"speaker-{number}") for number in range(5_000)]
    assert sides.count("test") / 5_000 == pytest.approx(0.1, abs=0.015)
    assert sides.count("validation") / 5_000 == pytest.approx(0.1, abs=0.015)
    assert [spread(name) for name in ("Rachel", "user8", "Janice")] == ["train", "validation", "test"]


def test_spread_corpora_have_something_on_every_side():
    shemo = [*(f"M{number:02}" for number in range(1, 57)), *(f"F{number:02}" for number in range(1, 32))]
    assert {get("shemo").split_of(speaker) for speaker in shemo} == {"train", "validation", "test"}
    baved = [f"spk{number}" for number in range(60)]
    assert {get("baved").split_of(speaker) for speaker in baved} == {"train", "validation", "test"}


def test_a_contradictory_definition_is_refused():
    parts = dict.fromkeys(("name", "title", "language", "licence", "citation", "homepage", "layout"), "emodb")
    with pytest.raises(CorpusError, match="listed for validation and for test"):
        Corpus(**parts, reader=by_name("x"), validation=("1", "2"), test=("2",))
    with pytest.raises(CorpusError, match="single_split"):
        Corpus(**parts, reader=by_name("x"), single_split="all")


def test_a_view_leaves_out_what_it_does_not_name():
    view = View(("happy", "bored"), relabel={"Langeweile (boredom)": "bored"})
    assert view.emotion("emodb", "Langeweile (boredom)") == "bored"
    assert view.emotion("emodb", "Freude (happiness)") == "happy"
    assert view.emotion("emodb", "Wut (anger)") is None
