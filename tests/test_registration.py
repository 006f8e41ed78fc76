"""Importing the package: what Transformers knows afterwards, and what is not imported for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import put_together, tone
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMultimodalLM,
    AutoProcessor,
    pipeline,
)

import hf_mser
from hf_mser import MSERConfig, MSERForEmotionGeneration, MSERProcessor, SpeechEmotionPipeline
from hf_mser.registration import EMBEDDED_CHECKPOINT

HEAVY = ("datasets", "evaluate", "peft", "gradio", "matplotlib", "sklearn", "accelerate", "pandas", "soundfile", "soxr")


def in_a_new_process(code: str) -> object:
    """What `code`, in a fresh interpreter, leaves in `result`."""
    program = f"import sys, json\n{code}\nprint(json.dumps(result))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("registration")
    model, processor = put_together(folder)
    model.save_pretrained(folder / "saved")
    processor.save_pretrained(folder / "saved")
    return folder / "saved"


def test_importing_the_package_imports_nothing_heavy():
    loaded = in_a_new_process("import hf_mser; result = sorted(sys.modules)")
    assert not [name for name in HEAVY if name in loaded]
    models = [name for name in loaded if name.startswith(("transformers.pipelines", "transformers.models."))]
    assert [name for name in models if not name.startswith("transformers.models.auto")] == []
    assert "hf_mser.modeling_mser" not in loaded


def test_every_public_name_is_there_in_any_order():
    for name in hf_mser.__all__:
        assert getattr(hf_mser, name) is not None
    assert set(hf_mser.__all__) <= set(dir(hf_mser))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hf_mser.nothing


def test_the_auto_classes_open_a_checkpoint(folder):
    assert type(AutoConfig.from_pretrained(folder)) is MSERConfig
    assert type(AutoProcessor.from_pretrained(folder)) is MSERProcessor
    for auto in (AutoModel, AutoModelForMultimodalLM):
        assert type(auto.from_pretrained(folder)) is MSERForEmotionGeneration
    assert type(pipeline("speech-emotion", model=str(folder))) is SpeechEmotionPipeline


@pytest.mark.parametrize(
    "order",
    [
        "from transformers import pipeline; import hf_mser",
        "from hf_mser import SpeechEmotionPipeline; from transformers import pipeline",
    ],
)
def test_the_task_is_known_in_whatever_order_things_are_imported(order):
    code = (
        f"{order}\nfrom transformers.pipelines import PIPELINE_REGISTRY\n"
        "task = PIPELINE_REGISTRY.supported_tasks['speech-emotion']\n"
        "impl = task['impl']\n"
        "name = impl if isinstance(impl, str) else f'{impl.__module__}.{impl.__name__}'\n"
        "result = [name, task['default']['model'][0]]"
    )
    assert in_a_new_process(code) == ["hf_mser.pipeline_mser.SpeechEmotionPipeline", str(EMBEDDED_CHECKPOINT)]


@pytest.mark.parametrize("first", ["AutoModel", "AutoProcessor"])
def test_each_auto_class_works_as_the_first_thing_used(folder, first):
    opened = f"{first}.from_pretrained({str(folder)!r})"
    code = f"import hf_mser\nfrom transformers import {first}\nresult = type({opened}).__name__"
    expected = {"AutoProcessor": "MSERProcessor", "AutoModel": "MSERForEmotionGeneration"}
    assert in_a_new_process(code) == expected[first]


def test_an_installed_package_asks_for_no_trust(folder, recwarn):
    pipe = pipeline("speech-emotion", model=str(folder))
    assert type(pipe.model) is MSERForEmotionGeneration
    assert type(pipe.model).__module__ == "hf_mser.modeling_mser"
    assert len(pipe(tone(0.4), sampling_rate=16_000)) == 7


def test_a_model_and_a_processor_that_are_loaded_already(folder):
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    pipe = pipeline("speech-emotion", model=model, processor=processor)
    assert pipe.model is model
    assert len(pipe(tone(0.4), sampling_rate=16_000)) == 7


def test_registering_twice_is_harmless(folder):
    hf_mser.registration.register()
    assert type(AutoModel.from_pretrained(folder)) is MSERForEmotionGeneration
