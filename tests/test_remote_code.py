"""A checkpoint's own code: complete, and enough where the package is not installed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from tiny_models import put_together, read_json, tone

import hf_mser
from hf_mser.remote_code import AUTO_MAP, CUSTOM_PIPELINES, ENTRY_FILES, write_code

PACKAGE = Path(hf_mser.__file__).parent
HIDE_PACKAGE = 'import sys; sys.modules["hf_mser"] = None'


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A full checkpoint with its processor, and a clip beside it."""
    folder = tmp_path_factory.mktemp("remote")
    model, processor = put_together(folder)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.connector.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder / "saved")
    processor.save_pretrained(folder / "saved")
    soundfile.write(folder / "clip.wav", tone(0.7), 16_000)
    return folder


def without_the_package(home: Path, code: str) -> object:
    """What `code` leaves in `result`, in a process that cannot import hf_mser and has a fresh module cache."""
    program = (
        f"{HIDE_PACKAGE}\nimport json\n{code}\n"
        "assert not [name for name in sys.modules if name.startswith('hf_mser.')]\nprint(json.dumps(result))"
    )
    environment = {**os.environ, "HF_MODULES_CACHE": str(home / "modules"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment, cwd=home
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_files_import_flat_and_nothing_that_is_not_there(folder):
    names = {path.name for path in (folder / "saved").glob("*.py")}
    assert set(ENTRY_FILES) <= names
    for name in names:
        source = (folder / "saved" / name).read_text(encoding="utf-8")
        assert source == (PACKAGE / name).read_text(encoding="utf-8")
        assert not re.search(
            r"^\s*from \.+ import|^\s*from \.\.|^\s*from \.\w+\.\w|^\s*(from|import) hf_mser", source, re.M
        )
        for module in re.findall(r"^\s*from \.(\w+) import", source, re.M):
            assert f"{module}.py" in names


def test_code_and_config_are_the_same_wherever_they_are_written(tmp_path):
    for target in ("one", "two"):
        write_code(tmp_path / target)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_config_points_at_the_code(folder):
    config = read_json(folder / "saved" / "config.json")
    assert config["auto_map"] == AUTO_MAP
    assert config["custom_pipelines"] == CUSTOM_PIPELINES
    for entry in (*AUTO_MAP.values(), CUSTOM_PIPELINES["speech-emotion"]["impl"]):
        module, name = entry.split(".")
        assert f"class {name}(" in (folder / "saved" / f"{module}.py").read_text(encoding="utf-8")
    processor = read_json(folder / "saved" / "processor_config.json")
    assert processor["auto_map"]["AutoProcessor"] == AUTO_MAP["AutoProcessor"]


def test_the_pipeline_answers_the_same_without_the_package_and_saves_itself_whole(folder):
    expected = hf_mser.SpeechEmotionPipeline(
        model=hf_mser.MSERForEmotionGeneration.from_pretrained(folder / "saved").eval(),
        processor=hf_mser.MSERProcessor.from_pretrained(folder / "saved"),
    )(str(folder / "clip.wav"))
    code = f"""
from transformers import pipeline
pipe = pipeline("speech-emotion", model={str(folder / "saved")!r}, trust_remote_code=True)
pipe.save_pretrained({str(folder / "again")!r})
result = [pipe("clip.wav"), type(pipe.model).__module__]"""
    answer, module = without_the_package(folder, code)
    assert module.startswith("transformers_modules")
    assert answer == expected

    again = {path.name for path in (folder / "again").iterdir()}
    assert {path.name for path in (folder / "saved").iterdir()} == again
    for name in again:
        if name.endswith((".py", ".safetensors")):
            assert (folder / "again" / name).read_bytes() == (folder / "saved" / name).read_bytes()
    code = f"""
from transformers import AutoConfig, AutoModel, AutoModelForMultimodalLM, AutoProcessor, pipeline
source = {str(folder / "again")!r}
trusted = dict(trust_remote_code=True)
pipe = pipeline("speech-emotion", model=source, **trusted)
config = AutoConfig.from_pretrained(source, **trusted)
model = AutoModel.from_pretrained(source, **trusted)
other = AutoModelForMultimodalLM.from_pretrained(source, config=config, **trusted)
processor = AutoProcessor.from_pretrained(source, **trusted)
inputs = processor(audio="clip.wav")
same = model.score_emotions(**inputs).equal(other.score_emotions(**inputs))
frozen = not any(parameter.requires_grad for parameter in model.text_model.parameters())
result = [pipe("clip.wav"), same, frozen]"""
    assert without_the_package(folder, code) == [expected, True, True]


def test_the_package_opens_what_was_saved_without_it(folder):
    code = f"""
from transformers import AutoModel
source = {str(folder / "saved")!r}
try:
    AutoModel.from_pretrained(source, trust_remote_code=False)
except ValueError as error:
    result = str(error)  # without trust nothing runs
AutoModel.from_pretrained(source, trust_remote_code=True).save_pretrained("third")"""
    assert "trust_remote_code" in without_the_package(folder, code)
    ours = hf_mser.MSERForEmotionGeneration.from_pretrained(folder / "third")
    reference = hf_mser.MSERForEmotionGeneration.from_pretrained(folder / "saved")
    inputs = hf_mser.MSERProcessor.from_pretrained(folder / "saved")(audio=folder / "clip.wav")
    assert torch.equal(ours.score_emotions(**inputs), reference.score_emotions(**inputs))
