"""A Hub on which backbones, a checkpoint, a data set and a metric were published by `upload.py`."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
from local_hub import LocalHub
from tiny_models import save_bert, save_llm, save_whisper, tone

ROOT = Path(__file__).resolve().parents[2]

# A connector on backbones of the Hub that says something, with its processor.
MAKE = """
import json, sys, torch
from tiny_models import QFORMER
from hf_mser import MSERForEmotionGeneration, MSERProcessor
from transformers import pipeline
from huggingface_hub.repocard import ModelCard

model = MSERForEmotionGeneration.from_backbones(
    "tiny/whisper", "tiny/llama", "tiny/bert",
    qformer_config={name: QFORMER[name] for name in ("num_query_tokens", "embedding_size", "num_statistics_tokens")},
)
torch.manual_seed(5)
with torch.no_grad():
    for weight in model.connector.parameters():
        weight.add_(torch.randn_like(weight) * 0.2)
model.save_pretrained("made")
MSERProcessor.from_backbones(model.config).save_pretrained("made")
pipe = pipeline("speech-emotion", model=model, processor=MSERProcessor.from_backbones(model.config))
print(json.dumps(pipe("clip.wav")))
"""

UPLOAD = """
import json, sys
from upload import main
for arguments in json.loads(sys.argv[1]):
    assert main(arguments) == 0, arguments
"""


@dataclass
class Published:
    """The Hub, the folder of the one who published, and what the model said before."""

    hub: LocalHub
    home: Path
    answer: list[dict]
    output: str

    @property
    def clip(self) -> Path:
        return self.home / "clip.wav"


def write_corpus(folder: Path) -> Path:
    """Eight clips in two languages, with a speaker for each split, as prepared corpora are."""
    folder.mkdir(parents=True)
    rows = []
    for number in range(8):
        language, emotion = ("fr", "de")[number % 2], ("happy", "sad")[number // 2 % 2]
        split = "train" if number < 6 else "test"
        name = f"{language}_{number}.flac"
        soundfile.write(folder / name, tone(0.4, 200 + 30 * number, number), 16_000)
        row = {"file_name": name, "emotion": emotion, "speaker": f"{split}-{language}", "language": language}
        rows.append({**row, "gender": "female", "duration": 0.4, "split": split, "licence": "CC0-1.0"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="package")
def published(tmp_path_factory) -> Published:
    """`upload.py checkpoint`, `dataset` and `metric`, each by the real clients."""
    folder = tmp_path_factory.mktemp("published")
    hub = LocalHub(folder / "hub")
    hub.store.add_folder("model", "tiny/whisper", save_whisper(folder / "whisper"))
    hub.store.add_folder("model", "tiny/llama", save_llm(folder / "llama", "llama3"))
    hub.store.add_folder("model", "tiny/bert", save_bert(folder / "bert"))
    home = folder / "author"
    write_corpus(home / "m5ser")
    soundfile.write(home / "clip.wav", tone(0.7), 16_000)
    made = hub.python(MAKE, home, None, PYTHONPATH=str(ROOT / "tests"))
    uploads = [
        ["checkpoint", str(home / "made"), "--repo", "org/mser"],
        ["dataset", str(home / "m5ser"), "--repo", "org/m5ser"],
        ["metric", str(ROOT / "metrics" / "mser_metrics"), "--repo", "org/mser_metrics"],
    ]
    done = hub.python(UPLOAD, home, hub.WRITER, json.dumps(uploads), PYTHONPATH=str(ROOT))
    yield Published(hub, home, json.loads(made.stdout.splitlines()[-1]), done.stdout)
    hub.close()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A prepared corpus of eight clips."""
    return write_corpus(tmp_path_factory.mktemp("corpora") / "tones")
