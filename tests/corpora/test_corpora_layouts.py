"""Every corpus in miniature: the files of its original distribution, named as documented, become right rows."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hf_mser.corpora import Expected, get, load_corpus, names
from hf_mser.corpora.prepare import prepare
from hf_mser.emotions import EMOTIONS


@dataclass(frozen=True)
class Row:
    """What a file must become; the defaults are what most corpora have."""

    path: str
    label: str
    emotion: str | None
    speaker: str | None
    gender: str | None = None
    split: str | None = "train"
    language: str | None = None
    text: str | None = None
    official: str | None = None


@dataclass(frozen=True)
class Layout:
    rows: tuple[Row, ...]
    tables: dict[str, str] = field(default_factory=dict)
    litter: tuple[str, ...] = ()
    """Files of the distribution that are no clips: neither a row nor a problem."""


IEMOCAP_TURNS = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M001\texc\t[4.0000, 4.0000, 2.5000]
"""
IEMOCAP_LINES = """Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
Ses01F_impro01_M001 [010.0100-011.3925]: Do you have your forms?
"""
IEMOCAP_LAST = "[1.0000 - 2.0000]\tSes05M_script03_2_F001\tfru\t[2.0000, 4.0000, 4.0000]\n"

MELD_HEAD = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"

LAYOUTS: dict[str, Layout] = {
    "aesdd": Layout(
        (
            Row("Acted Emotional Speech Dynamic Database/anger/a03 (3).wav", "anger", "angry", "3"),
            Row("Acted Emotional Speech Dynamic Database/sadness/s05 (4).wav", "sadness", "sad", "4", split="test"),
        )
    ),
    "baved": Layout(
        (
            Row("0/0-m-21-0-1-105.wav", "level1_normal", "neutral", "spk0", "male", "train", text="اعجبني"),
            Row("6/101-f-20-6-2-9.wav", "level2_high", None, "spk101", "female", "train", text="سيئ"),
        )
    ),
    "cafe": Layout(
        (
            Row("Colère/Fort/01-C-2-1.wav", "Colère", "angry", "01", "male", text="Un cheval fou dans mon jardin"),
            Row(
                "Neutre/12-N-1-6.wav", "Neutre", "neutral", "12", "female", "test", text="Six ours aimants domestiqués"
            ),
        )
    ),
    "casia": Layout(
        (
            Row("casia/liuchanhg/angry/201.wav", "angry", "angry", "liuchanhg", "female", "test"),
            Row("casia/ZhaoZuoxiang/surprise/250.wav", "surprise", "surprise", "ZhaoZuoxiang", "male"),
            Row("casia/zhaozuoxiang/sad/250.wav", "sad", "sad", "ZhaoZuoxiang", "male"),
        )
    ),
    "crema_d": Layout(
        (
            Row("AudioWAV/1001_DFA_ANG_XX.wav", "ANG", "angry", "1001", "male", text="Don't forget a jacket"),
            Row("AudioWAV/1091_IEO_HAP_LO.wav", "HAP", "happy", "1091", "female", "test", text="It's eleven o'clock"),
        ),
        litter=("AudioMP3/1001_DFA_ANG_XX.mp3",),
    ),
    "emodb": Layout(
        (
            Row(
                "wav/03a01Fa.wav",
                "Freude (happiness)",
                "happy",
                "03",
                "male",
                text="Der Lappen liegt auf dem Eisschrank.",
            ),
            Row("wav/16b03Lb.wav", "Langeweile (boredom)", None, "16", "female", "test"),
        )
    ),
    "emotiontts_ko": Layout(
        (
            Row(
                "Dataset/SpeechCorpus/Emotional/plain-to-emotional/ema/wav/ema00201.wav",
                "슬픔 (sadness)",
                "sad",
                "ema",
                "female",
                text="이 값이",
            ),
            Row(
                "Dataset/SpeechCorpus/Emotional/emotional-to-emotional/neo/wav/neo00305.wav",
                "화남 (anger)",
                "angry",
                "neo",
                "male",
                "test",
            ),
        ),
        tables={"Dataset/SpeechCorpus/Emotional/plain-to-emotional/ema/script/ema00201.txt": "이 값이\n"},
    ),
    "emov_db": Layout(
        (
            Row("bea_Amused/amused_1-15_0001.wav", "amused", None, "bea", "female"),
            Row("jenie_Disgusted/disgust_1-28_0003.wav", "disgust", "disgust", "jenie", "female", "test"),
        )
    ),
    "emovo": Layout(
        (
            Row("EMOVO/f1/dis-f1-b1.wav", "disgusto", "disgust", "f1", "female", text="Gli operai si alzano presto."),
            Row("EMOVO/m3/gio-m3-l4.wav", "gioia", "happy", "m3", "male", "test"),
        )
    ),
    "emozionalmente": Layout(
        (
            Row("audio/1627_anna.wav", "joy", "happy", "user7", "female", "train", text="In quella piccola stanza"),
            Row("audio/1628_ugo.wav", "neutrality", "neutral", "user8", "male", "validation", text="Vorrei il numero"),
        ),
        tables={
            "metadata/samples.csv": "id,file_name,actor,sentence,emotion_expressed\n"
            "1,1627_anna.wav,user7,In quella piccola stanza,joy\n2,1628_ugo.wav,user8,Vorrei il numero,neutrality\n",
            "metadata/users.csv": "username,gender,age\nuser7,f,30\nuser8,m,41\n",
        },
    ),
    "enterface": Layout(
        (
            Row("enterface database/subject 1/anger/sentence 1/s1_an_1.avi", "anger", "angry", "s1"),
            Row("enterface database/subject 3/surprise/sentence 5/s_3_su_5.avi", "surprise", "surprise", "s3"),
            Row("enterface database/subject 44/fear/sentence 2/s44_fe_2.avi", "fear", "fear", "s44", split="test"),
        )
    ),
    "esd": Layout(
        (
            Row(
                "0001/Angry/0001_000351.wav",
                "Angry",
                "angry",
                "0001",
                "female",
                language="zh",
                text="打远一看",
                official="validation",
            ),
            Row(
                "0020/Happy/train/0020_000800.wav",
                "Happy",
                "happy",
                "0020",
                "male",
                "test",
                "en",
                "The nine the eggs",
                "train",
            ),
            Row("0015/Sad/test/0015_001100.wav", "Sad", "sad", "0015", "female", language="en", official="test"),
        ),
        tables={
            "0001/0001.txt": "0001_000351\t打远一看\t生气\n",
            "0020/0020.txt": "0020_000800\tThe nine the eggs\tHappy\n",
        },
    ),
    "iemocap": Layout(
        (
            Row(
                "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
                "neu",
                "neutral",
                "Ses01F",
                "female",
                text="Excuse me.",
            ),
            Row(
                "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M001.wav",
                "exc",
                "happy",
                "Ses01M",
                "male",
                text="Do you have your forms?",
            ),
            Row(
                "Session5/sentences/wav/Ses05M_script03_2/Ses05M_script03_2_F001.wav",
                "fru",
                None,
                "Ses05F",
                "female",
                "test",
            ),
        ),
        tables={
            "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": IEMOCAP_TURNS,
            "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat.txt": "Ses01F_impro01_F000 :Neutral; ()\n",
            "Session1/dialog/transcriptions/Ses01F_impro01.txt": IEMOCAP_LINES,
            "Session5/dialog/EmoEvaluation/Ses05M_script03_2.txt": IEMOCAP_LAST,
        },
        litter=("Session1/dialog/wav/Ses01F_impro01.wav",),
    ),
    "jl": Layout(
        (
            Row(
                "Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/female1_angry_10a_1.wav",
                "angry",
                "angry",
                "female1",
                "female",
            ),
            Row(
                "Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/male2_excited_1b_2.wav",
                "excited",
                None,
                "male2",
                "male",
                "test",
            ),
        )
    ),
    "mead": Layout(
        (
            Row("M003/audio/angry/level_1/001.m4a", "angry", "angry", "M003", "male"),
            Row("W036/audio/surprised/level_3/030.m4a", "surprised", "surprise", "W036", "female", "test"),
            Row("W036/audio/contempt/level_3/030.m4a", "contempt", None, "W036", "female", "test"),
        ),
        litter=("M003/video/front/angry/level_1/001.mp4",),
    ),
    "meld": Layout(
        (
            Row(
                "MELD.Raw/train/train_splits/dia0_utt0.mp4",
                "joy",
                "happy",
                "Chandler",
                "male",
                "train",
                text="also I was, the point person",
                official="train",
            ),
            Row(
                "MELD.Raw/train/train_splits/dia0_utt1.mp4",
                "surprise",
                "surprise",
                None,
                split=None,
                text="Oh!",
                official="train",
            ),
            Row(
                "MELD.Raw/dev_splits_complete/dia0_utt0.mp4",
                "anger",
                "angry",
                "Phoebe",
                "female",
                "validation",
                text="Oh my God!",
                official="validation",
            ),
            Row(
                "MELD.Raw/output_repeated_splits_test/dia0_utt0.mp4",
                "surprise",
                "surprise",
                "Ross",
                "male",
                "test",
                text="Why?",
                official="test",
            ),
        ),
        tables={
            "MELD.Raw/train_sent_emo.csv": MELD_HEAD
            + '1,"also I was, the point person",Chandler,joy,positive,0,0,8,21,"00:16:16,059","00:16:21,731"\n'
            + '2,Oh!,Ross and Rachel,surprise,positive,0,1,8,21,"00:16:21,940","00:16:23,442"\n',
            "MELD.Raw/dev_sent_emo.csv": MELD_HEAD
            + '1,Oh my God!,Phoebe,anger,negative,0,0,4,7,"00:20:57,256","00:21:00,049"\n',
            "MELD.Raw/test_sent_emo.csv": MELD_HEAD
            + '1,Why?,Ross,surprise,positive,0,0,3,19,"00:14:38,127","00:14:40,378"\n',
        },
        litter=("MELD.Raw/output_repeated_splits_test/final_videos_testdia0_utt0.mp4",),
    ),
    "mesd": Layout(
        (
            Row("Mexican Emotional Speech Database (MESD)/Anger_C_A_abajo.wav", "Anger", "angry", "C", text="abajo"),
            Row(
                "Mexican Emotional Speech Database (MESD)/Fear_M_B_a_veces.wav",
                "Fear",
                "fear",
                "M",
                "male",
                "test",
                text="a veces",
            ),
        )
    ),
    "msp_podcast": Layout(
        (
            Row("Audios/MSP-PODCAST_0001_0008.wav", "N", "neutral", "127", "male", "train", official="train"),
            Row("Audios/MSP-PODCAST_0002_0033.wav", "C", None, "128", "female", "test", official="test"),
            Row("Audios/MSP-PODCAST_0003_0001.wav", "H", "happy", None, None, None, official="test2"),
        ),
        tables={
            "Labels/labels_consensus.csv": "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
            "MSP-PODCAST_0001_0008.wav,N,2.2,4.0,3.0,127,Male,Train\n"
            "MSP-PODCAST_0002_0033.wav,C,2.2,4.0,3.0,128,Female,Test1\n"
            "MSP-PODCAST_0003_0001.wav,H,2.2,4.0,3.0,Unknown,Unknown,Test2\n"
        },
    ),
    "nemo": Layout(
        (
            Row("samples/EB0_anger_1.wav", "anger", "angry", "EB0", "female", text="Lubię czytać przed snem."),
            Row("samples/WR0_surprised_90.wav", "surprised", "surprise", "WR0", "male", "test"),
        ),
        tables={"data.tsv": "file_id\temotion\traw_text\nEB0_anger_1.wav\tanger\tLubię czytać przed snem.\n"},
    ),
    "ravdess": Layout(
        (
            Row("Actor_01/03-01-02-01-01-01-01.wav", "calm", None, "01", "male", text="Kids are talking by the door"),
            Row(
                "Actor_24/03-01-06-02-02-02-24.wav",
                "fearful",
                "fear",
                "24",
                "female",
                "test",
                text="Dogs are sitting by the door",
            ),
        ),
        litter=("Actor_01/03-02-02-01-01-01-01.wav", "Actor_01/01-01-02-01-01-01-01.mp4"),
    ),
    "resd": Layout(
        (
            Row(
                "train/happiness_enthusiasm_32/32_happiness_enthusiasm_h_120.wav",
                "happiness",
                "happy",
                None,
                split="test",
                text="Привет",
                official="train",
            ),
            Row(
                "test/anger_fear_7/7_anger_fear_a_010.wav",
                "enthusiasm",
                None,
                None,
                split="test",
                text="Нет",
                official="test",
            ),
        ),
        tables={
            "train.csv": "name,path,emotion,text\n"
            "32,happiness_enthusiasm_32/32_happiness_enthusiasm_h_120.wav,happiness,Привет\n",
            "test.csv": "name,path,emotion,text\n7,anger_fear_7/7_anger_fear_a_010.wav,enthusiasm,Нет\n",
        },
    ),
    "savee": Layout(
        (
            Row("AudioData/DC/sa01.wav", "sadness", "sad", "DC", "male"),
            Row("AudioData/KL/su15.wav", "surprise", "surprise", "KL", "male", "test"),
            Row("ALL/JK_n30.wav", "neutral", "neutral", "JK", "male", "validation"),
        )
    ),
    "shemo": Layout(
        (
            Row("male/M01A01.wav", "anger", "angry", "M01", "male", "train"),
            Row("female/F21W02.wav", "surprise", "surprise", "F21", "female", "train"),
        )
    ),
    "spanish_uem": Layout(
        (
            Row("data/0/Alegria_1.WAV", "alegría", "happy", "spk0"),
            Row("data/0/Ira__12.WAV", "ira", "angry", "spk0"),
            Row("data/test1/Neutro_3.WAV", "neutro", "neutral", "test1", split="test"),
        )
    ),
    "subesco": Layout(
        (
            Row("F_01_OISHI_S_1_ANGRY_1.wav", "ANGRY", "angry", "F_01", "female"),
            Row("M_10_RASHED_S_10_SURPRISE_5.wav", "SURPRISE", "surprise", "M_10", "male", "test"),
        )
    ),
    "tess": Layout(
        (
            Row("OAF_Fear/OAF_back_fear.wav", "fear", "fear", "OAF", "female", text="Say the word back"),
            Row("YAF_pleasant_surprised/YAF_bite_ps.wav", "pleasant surprise", "surprise", "YAF", "female", "test"),
        )
    ),
    "turev_db": Layout(
        (
            Row("Sound Source/Sad/1157_hl_acik.wav", "Sad", "sad", "1157"),
            Row("Sound Source/Calm/7895_dn_beste.wav", "Calm", None, "7895", split="test"),
        )
    ),
    "urdu": Layout(
        (
            Row("Angry/SM1_F10_A010.wav", "Angry", "angry", "SM1", "male", "test"),
            Row("Sad/SF10_F1_S01.wav", "Sad", "sad", "SF10", "female", "test"),
        )
    ),
}


def build(layout: Layout, root: Path, write_clip) -> Path:
    for seed, row in enumerate(layout.rows):
        write_clip(root / row.path, seed, rate=(16_000, 44_100, 48_000)[seed % 3], channels=1 + seed % 2)
    for seed, path in enumerate(layout.litter, start=100):
        write_clip(root / path, seed)
    for path, text in layout.tables.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_original_layout_becomes_the_schema(name, tmp_path, write_clip):
    layout = LAYOUTS[name]
    source = build(layout, tmp_path / "source", write_clip)

    report = prepare(name, source, tmp_path / "prepared")

    # A miniature lacks most clips, which the report must say; nothing else may be wrong with it.
    assert {problem.kind for problem in report.problems} <= {"unexpected count"}
    assert bool(report.problems) == (get(name).expected != Expected())
    dataset = load_corpus(tmp_path / "prepared", columns=["source_file", "official_split"], verify=True)
    assert len(dataset) == len(layout.rows)
    found = {row["source_file"]: row for row in dataset}
    for row in layout.rows:
        clip = found[row.path]
        emotion = None if clip["emotion"] is None else EMOTIONS[clip["emotion"]]
        assert (clip["original_label"], emotion) == (row.label, row.emotion)
        assert (clip["speaker"], clip["gender"], clip["split"]) == (row.speaker, row.gender, row.split)
        assert clip["language"] == (row.language or get(name).language)
        assert clip["official_split"] == row.official
        assert row.text is None or clip["text"] == row.text
        assert clip["corpus"] == name
        assert clip["licence"] == get(name).licence
        assert clip["duration"] == pytest.approx(0.2, abs=0.001)


def test_mosei_cuts_its_segments_out_of_the_recordings(tmp_path, write_clip):
    h5py = pytest.importorskip("h5py")
    import numpy as np

    from hf_mser.audio import load_audio

    write_clip(tmp_path / "mosei/Raw/Audio/Full/WAV_16000/-3g5yACwYnA.wav", 1, seconds=3.0)
    with h5py.File(tmp_path / "mosei/CMU_MOSEI_Labels.csd", "w") as file:
        video = file.create_group("All Labels/data/-3g5yACwYnA")
        video["intervals"] = np.array([[0.5, 1.25], [1.25, 2.75]])
        # Sentiment, then happiness, sadness, anger, surprise, disgust, fear.
        video["features"] = np.array([[1.0, 0.0, 0.66, 0.33, 0, 0, 0], [0.0, 0, 0, 0, 0, 0, 0]])
    texts = tmp_path / "mosei/Raw/Transcript/Segmented/Combined/-3g5yACwYnA.txt"
    texts.parent.mkdir(parents=True)
    texts.write_text("-3g5yACwYnA___0___0.5___1.25___Key to it\n-3g5yACwYnA___1___1.25___2.75___And so on\n")

    assert prepare("cmu_mosei", tmp_path / "mosei", tmp_path / "out").ok

    dataset = load_corpus(tmp_path / "out")
    assert dataset["original_label"][:] == ["sadness", "neutral"]
    assert dataset["text"][:] == ["Key to it", "And so on"]
    assert dataset["speaker"][:] == ["-3g5yACwYnA"] * 2
    whole = load_audio(tmp_path / "mosei/Raw/Audio/Full/WAV_16000/-3g5yACwYnA.wav")
    np.testing.assert_array_equal(load_audio(dataset[0]["audio"]), whole[8_000:20_000])
    np.testing.assert_array_equal(load_audio(dataset[1]["audio"]), whole[20_000:44_000])


def test_every_corpus_has_its_miniature():
    assert sorted([*LAYOUTS, "cmu_mosei"]) == list(names())
