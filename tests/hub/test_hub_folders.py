"""The folders for the Hub: what a checkpoint and a corpus become, and what cannot be published."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import put_together, read_json

from hf_mser import MSERForEmotionClassification
from hf_mser.cards.model_card import ModelFacts, model_card
from hf_mser.corpora.loading import load_corpus
from hf_mser.corpora.schema import CorpusError
from hf_mser.hub.checking import check_checkpoint
from hf_mser.hub.checkpoint import write_checkpoint
from hf_mser.hub.dataset import write_dataset
from hf_mser.hub.errors import HubError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A connector checkpoint on local backbones, with what a run leaves beside it."""
    folder = tmp_path_factory.mktemp("saved")
    model, processor = put_together(folder)
    model.save_pretrained(folder / "run")
    processor.save_pretrained(folder / "run")
    (folder / "run" / "checkpoint-4").mkdir()
    (folder / "run" / "checkpoint-4" / "optimizer.pt").write_bytes(b"pickle")
    (folder / "run" / "training_args.bin").write_bytes(b"pickle")
    return folder / "run"


def test_a_connector_on_a_folder_of_ones_own_is_refused(saved, tmp_path):
    with pytest.raises(HubError, match=r"speech backbone is the folder .*nobody else has it\. Upload .*--full"):
        write_checkpoint(saved, tmp_path / "out")


def test_full_holds_all_weights_and_names_no_folder_of_ones_own(saved, tmp_path):
    write_checkpoint(saved, tmp_path / "out", full=True)
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert {name.split(".")[0] for name in weights} == {"connector", "speech_encoder", "text_model"}
    connector = load_file(saved / "model.safetensors")
    assert all(torch.equal(weights[name], tensor) for name, tensor in connector.items())
    config = read_json(tmp_path / "out" / "config.json")
    assert config["connector_only"] is False
    assert config["backbones"] is None
    files = {path.name for path in (tmp_path / "out").rglob("*")}
    assert {"processor_config.json", "tokenizer.json", "modeling_mser.py", "LICENSE"} <= files
    assert not files & {"training_args.bin", "optimizer.pt"}


def test_other_weights_than_those_of_the_source_do_not_pass_the_check(saved, tmp_path):
    write_checkpoint(saved, tmp_path / "out", full=True)
    path = tmp_path / "out" / "model.safetensors"
    weights = load_file(path)
    save_file({name: tensor * 1.5 for name, tensor in weights.items()}, path, {"format": "pt"})
    with pytest.raises(HubError, match="its own code gives scores that differ by"):
        check_checkpoint(tmp_path / "out", saved)


def test_a_processor_that_was_not_saved_comes_from_the_backbones(saved, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((saved / name).read_bytes())
    write_checkpoint(bare, tmp_path / "out", full=True)
    ours, theirs = (read_json(folder / "processor_config.json") for folder in (tmp_path / "out", saved))
    assert ours == theirs


def test_a_classifier_is_published_alike(saved, tmp_path):
    model = MSERForEmotionClassification.from_backbones(saved.parent / "whisper", lora_rank=2, adapter_width=2)
    model.save_pretrained(tmp_path / "classifier")
    with pytest.raises(HubError, match="speech backbone is the folder"):
        write_checkpoint(tmp_path / "classifier", tmp_path / "refused")
    write_checkpoint(tmp_path / "classifier", tmp_path / "out", full=True)
    config = read_json(tmp_path / "out" / "config.json")
    assert config["auto_map"]["AutoModel"] == "modeling_classification.MSERForEmotionClassification"
    assert config["connector_only"] is False
    assert {"modeling_classification.py", "pipeline_mser.py", "processor_config.json"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    facts = ModelFacts("c", "", config, "mit", training_data="", data_terms="", procedure="")
    text = model_card(facts)
    assert "Speech encoder: whisper, 2 layers of width 16" in text
    assert "Classifier: mean pooling and one linear layer." in text
    assert "candidate_labels" not in text


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "bert"}, "a checkpoint of 'bert', none of hf_mser's"),
        ({"model_type": "mser"}, "no safetensors weights"),
    ],
)
def test_what_is_no_checkpoint_is_said(tmp_path, config, said):
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(HubError, match=said):
        write_checkpoint(tmp_path, tmp_path / "out")


def test_a_corpus_becomes_the_same_shards_every_time(corpus, tmp_path):
    facts = write_dataset(corpus, tmp_path / "one", shard_bytes=1)
    write_dataset(corpus, tmp_path / "two", shard_bytes=1)
    shards = sorted(path.relative_to(tmp_path / "one").as_posix() for path in tmp_path.glob("one/**/*.parquet"))
    assert [name for name in shards if "/de/train" in name] == [
        f"data/de/train-0000{number}-of-00003.parquet" for number in range(3)
    ]
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    assert len((tmp_path / "one" / "SHA256SUMS").read_text().splitlines()) == len(shards) == 8
    assert facts["clips"] == 8
    assert facts["emotions"] == {"happy": 4, "sad": 4}
    assert facts["configs"]["fr"] == {"test": "data/fr/test-*.parquet", "train": "data/fr/train-*.parquet"}


def test_shards_hold_the_sound_and_the_schema(corpus, tmp_path):
    from datasets import Dataset

    write_dataset(corpus, tmp_path)
    part = Dataset.from_parquet(
        str(tmp_path / "data/fr/test-00000-of-00001.parquet"), cache_dir=str(tmp_path / "cache")
    )
    assert part.features == load_corpus(corpus).features
    assert part[0]["audio"]["bytes"] == (corpus / part[0]["audio"]["path"]).read_bytes()


def test_a_data_set_that_is_built_already_goes_as_it_is(tmp_path):
    built = tmp_path / "built"
    for name, content in {"README.md": "---\n---\n", "fr/train.parquet": "PAR1", ".work/part": "x"}.items():
        (built / name).parent.mkdir(parents=True, exist_ok=True)
        (built / name).write_text(content, encoding="utf-8")
    assert write_dataset(built, tmp_path / "out") is None
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"README.md", "fr/train.parquet"}


def test_a_data_set_that_is_damaged_or_not_finished_is_refused(tmp_path):
    for name in ("README.md", "train.parquet", "build.json"):
        (tmp_path / name).write_text("PAR1", encoding="utf-8")
    with pytest.raises(HubError, match=r"is not finished: it has no SHA256SUMS"):
        write_dataset(tmp_path, tmp_path / "out")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  train.parquet\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"train\.parquet differs from its checksum"):
        write_dataset(tmp_path, tmp_path / "out")
