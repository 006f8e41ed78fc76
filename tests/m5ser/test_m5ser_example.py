"""`examples/load_m5ser.py` on a small build."""

import runpy
import sys
from pathlib import Path

import soundfile

from hf_mser import load_audio
from hf_mser.m5ser import Settings, build

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "load_m5ser.py"


def test_the_example_counts_emotions_and_plays_one_clip_in_all_languages(english, tmp_path, monkeypatch, capsys):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    settings = Settings(languages=("fr", "zh"), translator="odd_translators:Backwards", clips_per_unit=4)
    build([english], tmp_path / "m5ser", settings, workers=1)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path / "m5ser"), str(tmp_path / "samples")])
    shown = runpy.run_path(str(SCRIPT))
    assert shown["counts"] == {
        (language, emotion): 2 for language in ("en", "fr", "zh") for emotion in range(3)
    }  # two speakers of the training split, three emotions
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["en", "2", "2", "2", "0", "0", "0", "0"]
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["en.wav", "fr.wav", "zh.wav"]
    source = load_audio(english / f"{shown['original']['source_id']}.wav")
    assert soundfile.info(tmp_path / "samples" / "fr.wav").frames == len(source)
