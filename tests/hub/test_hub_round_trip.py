"""What `upload.py` published works for others: real clients, fresh processes, fresh caches, HTTP in between."""

import json

from tiny_models import save_whisper

STRANGER = """
import json, sys
sys.modules["hf_mser"] = None
from transformers import pipeline
pipe = pipeline("speech-emotion", model="org/mser", trust_remote_code=True)
print(json.dumps([pipe(sys.argv[1]), type(pipe.model).__module__]))
"""

FRIEND = """
import json, sys
from hf_mser import MSERForEmotionGeneration, MSERProcessor, SpeechEmotionPipeline
import datasets, evaluate

model = MSERForEmotionGeneration.from_pretrained("org/mser")
pipe = SpeechEmotionPipeline(model=model.eval(), processor=MSERProcessor.from_pretrained("org/mser"))
french = datasets.load_dataset("org/m5ser", "fr")
stream = datasets.load_dataset("org/m5ser", "de", split="train", streaming=True)
metric = evaluate.load("org/mser_metrics")
row = french["test"][0]
print(json.dumps({
    "answer": pipe(sys.argv[1]),
    "splits": {name: part.num_rows for name, part in french.items()},
    "emotions": french["train"].features["emotion"].names,
    "row": {**row, "audio": [row["audio"]["path"], row["audio"]["bytes"].hex()]},
    "heard": pipe(row["audio"], top_k=1)[0]["label"],
    "streamed": [line["audio"]["path"] for line in stream],
    "UA": metric.compute(predictions=[0, 1, 1, 1], references=[0, 0, 1, 1])["UA"],
}))
"""


def last_line(done) -> object:
    return json.loads(done.stdout.splitlines()[-1])


def test_a_stranger_runs_the_pipeline_and_again_without_the_network(published, tmp_path):
    hub = published.hub
    answer, module = last_line(hub.python(STRANGER, tmp_path, None, str(published.clip)))
    assert module.startswith("transformers_modules.")
    assert answer == published.answer
    before = len(hub.requests)
    offline, _ = last_line(hub.python(STRANGER, tmp_path, None, str(published.clip), HF_HUB_OFFLINE="1"))
    assert offline == published.answer
    assert len(hub.requests) == before


def test_a_friend_loads_model_data_and_metric(published, tmp_path):
    hub = published.hub
    # The backbone's newest weights are others now; the connector names the commit that it was trained with.
    hub.store.add_folder("model", "tiny/whisper", save_whisper(tmp_path / "newer", seed=99))
    found = last_line(hub.python(FRIEND, tmp_path, None, str(published.clip)))
    assert found["answer"] == published.answer
    assert found["splits"] == {"train": 3, "test": 1}
    assert found["emotions"] == ["neutral", "happy", "sad", "angry", "surprise", "disgust", "fear"]
    row = found["row"]
    original = published.home / "m5ser" / "fr_6.flac"
    assert row["audio"] == ["fr_6.flac", original.read_bytes().hex()]
    assert (row["speaker"], row["language"], row["licence"], row["emotion"]) == ("test-fr", "fr", "CC0-1.0", 2)
    assert found["heard"] in found["emotions"]
    assert found["streamed"] == ["de_1.flac", "de_3.flac", "de_5.flac"]
    assert found["UA"] == 0.75


def test_a_backbone_that_changed_under_its_commit_is_refused(published, tmp_path):
    hub = published.hub
    pinned = json.loads(hub.store.files("model", "org/mser")["config.json"])["backbones"]["speech"]
    repo = hub.store.repo("model", pinned["id"])
    files = repo.commits[pinned["revision"]]
    kept = files["model.safetensors"]
    forged = (save_whisper(tmp_path / "forged", seed=7) / "model.safetensors").read_bytes()
    files["model.safetensors"] = hub.store.entry(forged, True)
    try:
        done = hub.python(STRANGER, tmp_path / "user", None, str(published.clip), check=False)
    finally:
        files["model.safetensors"] = kept
    assert done.returncode != 0
    assert "The speech backbone tiny/whisper" in done.stderr
    assert "differs from the one that this connector was trained with" in done.stderr


def test_what_was_published_is_complete(published):
    files = published.hub.store.files("model", "org/mser")
    config = json.loads(files["config.json"])
    assert config["connector_only"] is True
    assert set(config["backbones"]) == {"speech", "text"}
    assert config["auto_map"]["AutoConfig"] == "configuration_mser.MSERConfig"
    assert "speech-emotion" in config["custom_pipelines"]
    for name in ("LICENSE", "LICENSE-WEIGHTS.md", "README.md", "processor_config.json", "tokenizer.json"):
        assert files[name]
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pyc"))]
    data = published.hub.store.files("dataset", "org/m5ser")
    assert [name for name in data if name.endswith(".parquet")] == [
        f"data/{language}/{split}-00000-of-00001.parquet" for language in ("de", "fr") for split in ("test", "train")
    ]
    assert "mser_metrics.py" in published.hub.store.files("space", "org/mser_metrics")
    assert "checked: without hf_mser it answers alike" in published.output
