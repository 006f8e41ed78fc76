"""The doors through which untrusted bytes come in, each as a function of bytes.

A door may refuse what it is given, by an error that derives from `MSERError`: the message says what is wrong. Any other
exception is a finding.
"""

import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from huggingface_hub.errors import StrictDataclassError

from hf_mser.audio import iter_windows, load_audio
from hf_mser.backbones import read_weights
from hf_mser.commands.inputs import NamedClip
from hf_mser.commands.journal import write_resumably
from hf_mser.configuration_mser import MSERConfig
from hf_mser.corpora.metadata import read_metadata
from hf_mser.errors import MSERError
from hf_mser.training.recipe import load_recipe

warnings.simplefilter("ignore")
CLIPS = Path(__file__).resolve().parents[1] / "examples" / "clips"
FOLDER = Path(tempfile.mkdtemp(prefix="hf_mser_fuzz_"))


def audio(data: bytes) -> None:
    """A file of sound: what comes out is finite and in range, whole and in windows alike."""
    whole = load_audio(data)
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()
    end = max(window.end for window in iter_windows(data, 1.0, 0.5))
    assert abs(end * 16_000 - len(whole)) < 1


def config(data: bytes) -> None:
    """What a checkpoint's config.json says; Transformers itself refuses what is no JSON object."""
    try:
        content = json.loads(data)
    except ValueError:
        return
    if isinstance(content, dict):
        MSERConfig.from_dict(content)


def weights(data: bytes) -> None:
    """A checkpoint's tensors."""
    (FOLDER / "model.safetensors").write_bytes(data)
    read_weights(FOLDER)


def manifest(data: bytes) -> None:
    """A corpus' metadata.jsonl: no name in it leads out of the folder."""
    (FOLDER / "metadata.jsonl").write_bytes(data)
    for row in read_metadata(FOLDER):
        assert (FOLDER / row["file_name"]).resolve().is_relative_to(FOLDER.resolve())


def recipe(data: bytes) -> None:
    """A training recipe."""
    path = FOLDER / "recipe.yaml"
    path.write_bytes(data)
    load_recipe(path)


def journal(data: bytes) -> None:
    """What a killed `mser predict` left behind: whatever it is, the result is the same."""
    clips = [NamedClip(f"{number}.wav", b"%d" % number) for number in range(5)]
    (FOLDER / "out.partial").write_bytes(data)
    write_resumably(
        FOLDER / "out",
        clips,
        lambda part: ({"input": clip.name} for clip in part),
        {},
        2,
        lambda file, records: file.writelines(json.dumps(record) + "\n" for record in records),
    )
    lines = (FOLDER / "out").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["input"] for line in lines] == [clip.name for clip in clips]


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (audio, config, weights, manifest, recipe, journal)
}


def seeds(name: str) -> list[bytes]:
    """Good input to start from."""
    checkpoint = Path(__file__).resolve().parents[1] / "src" / "hf_mser" / "checkpoints" / "mser-tiny"
    recipes = Path(__file__).resolve().parents[1] / "training" / "recipes"
    if name == "audio":
        return [_wav(), *(path.read_bytes()[:6_000] for path in sorted(CLIPS.glob("*.flac"))[:2])]
    if name == "config":
        return [(checkpoint / "config.json").read_bytes(), b'{"model_type": "mser", "temperature": 2}']
    if name == "weights":
        head = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
        return [len(head).to_bytes(8, "little") + head + bytes(8)]
    if name == "manifest":
        return [(CLIPS / "metadata.jsonl").read_bytes(), b'{"file_name": "a.wav", "emotion": "sad"}\n']
    if name == "recipe":
        return [path.read_bytes() for path in sorted(recipes.glob("*.yaml"))]
    return [b'{"inputs": "", "run": {}}\n{"of": null, "record": {"input": "0.wav"}}\n']


def allowed(error: BaseException) -> bool:
    """Whether an error is a refusal, and not a finding."""
    return isinstance(error, (MSERError, StrictDataclassError))  # the second checks the types in every HF config


def _wav() -> bytes:
    import io

    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, 0.1 * np.sin(np.arange(2_000) / 9), 8_000, format="WAV")
    return buffer.getvalue()
