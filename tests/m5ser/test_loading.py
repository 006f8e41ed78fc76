"""The folder is a Hub dataset: configurations, splits, streaming, and sound without a decoder library."""

import sys

import numpy as np
import pytest
import yaml

from hf_mser import load_audio, load_m5ser
from hf_mser.corpora import CorpusError
from hf_mser.m5ser import M5SERError, Settings, build

SETTINGS = Settings(languages=("fr", "zh"), translator="odd_translators:Backwards", clips_per_unit=4)


@pytest.fixture(scope="module")
def folder(english, tmp_path_factory):
    out = tmp_path_factory.mktemp("m5ser") / "dataset"
    build([english], out, SETTINGS, workers=1)
    return out


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("streaming", [True, False])
def test_plain_load_dataset_reads_one_language_without_torchcodec(folder, english, streaming):
    from datasets import load_dataset

    rows = list(load_dataset(str(folder), "fr", split="train", streaming=streaming))
    assert "torchcodec" not in sys.modules
    assert len(rows) == 6
    assert {row["language"] for row in rows} == {"fr"}
    source = load_audio(english / f"{rows[0]['source_id']}.wav")
    assert np.abs(load_audio(rows[0]["audio"])[::-1] - source).max() < 1e-4


def test_languages_splits_and_all_of_it(folder):
    everything = load_m5ser(folder)
    assert {name: len(part) for name, part in everything.items()} == {"train": 18, "test": 9}
    assert everything["train"].features["emotion"].names[0] == "neutral"
    both = load_m5ser(folder, ["en", "zh"], split="test")
    assert [row["language"] for row in both] == ["en"] * 3 + ["zh"] * 3
    assert len(list(load_m5ser(folder, ["fr", "zh"], split="train", streaming=True))) == 12


def test_what_is_not_there_is_said(folder, tmp_path):
    with pytest.raises(M5SERError, match=r"(?s)pl.*(all|fr)"):
        load_m5ser(folder, "pl")
    with pytest.raises(M5SERError, match="validation"):
        load_m5ser(folder, "fr", split="validation")
    with pytest.raises(M5SERError, match="need a split"):
        load_m5ser(folder, ["fr", "zh"])
    with pytest.raises(M5SERError, match="is not a folder"):
        load_m5ser(tmp_path / "nowhere")
    with pytest.raises(M5SERError, match="no finished dataset"):
        load_m5ser(tmp_path)


def test_a_damaged_file_is_found(folder, tmp_path):
    import shutil

    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    path = damaged / "data" / "fr" / "train-00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="differs from its checksum"):
        load_m5ser(damaged, "fr", split="train", verify=True)


def test_the_card_states_configurations_contents_and_terms(folder):
    card = (folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    configs = {config["config_name"]: config for config in front["configs"]}
    assert set(configs) == {"all", "en", "fr", "zh"}
    assert [name for name, config in configs.items() if config.get("default")] == ["all"]
    assert {entry["split"]: entry["path"] for entry in configs["fr"]["data_files"]} == {
        "train": "data/fr/train-*.parquet",
        "test": "data/fr/test-*.parquet",
    }
    assert front["language"] == ["en", "fr", "zh"]
    assert "| fr | 6 | 3 | 0.00 | 3 | 3 | 3 |" in card
    assert "| en | CC0 |" in card
    assert "| fr | CC0; outputs of Backwards: CC BY 4.0 |" in card
    assert "less than 20 KB (as 16-bit WAV at 16 kHz) from iemocap, meld" in card
