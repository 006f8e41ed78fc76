"""Transformers' own model tests, run against this model.

    python tests/transformers_suite/run_model_tester.py                      fetches Transformers' source from PyPI
    python tests/transformers_suite/run_model_tester.py --sdist transformers-5.23.0.tar.gz
    python tests/transformers_suite/run_model_tester.py -- -k "save_load or embeds"

The source distribution of the installed version holds `ModelTesterMixin`. It is unpacked into a temporary folder
and imported from there. What the mixin expects of other test files (exporters, generation) is not in the
distribution and replaced by empty classes. Needs `pip install parameterized`. What follows `--` goes to pytest.
"""

import argparse
import copy
import subprocess
import sys
import tarfile
import tempfile
import types
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = "transformers_own_tests"
BY_DESIGN = {
    "test_model_base_model_prefix": "several models stand side by side here, none is the base of the others",
    "test_model_main_input_name": "forward takes the sound first, while generate continues input_ids",
    "test_model_weights_reload_no_missing_tied_weights": "a checkpoint that lacks weights is an error here",
}
ABSENT = {"exporters.test_export": "ExportTesterMixin", "generation.test_utils": "GenerationTesterMixin"}


def fetch_source(folder: Path) -> Path:
    """Transformers' source distribution, of the version that is installed."""
    import transformers

    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--no-binary", ":all:", "--dest", str(folder), f"transformers=={transformers.__version__}"]
    subprocess.run(command, check=True)
    return next(folder.glob("transformers-*.tar.gz"))


def unpack_tests(source: Path, folder: Path) -> Path:
    """The test files that lie at the top of the source's tests, as a package."""
    package = folder / PACKAGE
    package.mkdir()
    with tarfile.open(source) as archive:
        for member in archive.getmembers():
            parts = Path(member.name).parts
            if len(parts) == 3 and parts[1] == "tests" and parts[2].endswith(".py"):
                content = archive.extractfile(member)
                if content is not None:
                    (package / parts[2]).write_bytes(content.read())
    (package / "__init__.py").touch()
    return folder


def stand_in_for_absent_files() -> None:
    """Empty classes where the mixin imports from test files that the distribution leaves out."""
    for name, mixin in ABSENT.items():
        parent = f"{PACKAGE}.{name.split('.')[0]}"
        sys.modules.setdefault(parent, types.ModuleType(parent))
        module = types.ModuleType(f"{PACKAGE}.{name}")
        setattr(module, mixin, type(mixin, (), {}))
        sys.modules[f"{PACKAGE}.{name}"] = module


class TinyModelTester:
    """What the mixin asks about a model: its config, inputs and sizes."""

    is_training = True
    batch_size = 3
    frames = 24
    encoder_seq_length = key_length = seq_length = 12

    def __init__(self, parent: Any):
        from tiny_models import tiny_config

        self.parent = parent
        self.config = tiny_config(audio_token_id=3, qformer={"hidden_dropout_prob": 0.0, "num_hidden_layers": 2})
        text = self.config.text_config
        text.pad_token_id = 2
        self.hidden_size = text.hidden_size
        self.num_hidden_layers = text.num_hidden_layers
        self.num_attention_heads = text.num_attention_heads
        self.vocab_size = text.vocab_size

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, Any]]:
        import torch
        from tiny_models import features

        config = copy.deepcopy(self.config)
        sound, mask = features([self.frames] * self.batch_size)
        speech = [config.audio_token_id] * config.qformer_config.num_speech_tokens
        words = torch.randint(20, 90, (self.batch_size, self.seq_length - len(speech) - 1))
        ids = torch.cat([torch.tensor([[0, *speech]] * self.batch_size), words], dim=1)
        inputs = {"input_features": sound, "input_features_mask": mask, "input_ids": ids}
        return config, {**inputs, "attention_mask": torch.ones_like(ids)}


def make_test_case() -> type:
    """The mixin, pointed at this model."""
    import importlib
    import unittest

    import torch

    from hf_mser import MSERForEmotionGeneration

    common = importlib.import_module(f"{PACKAGE}.test_modeling_common")

    class MSERModelTest(common.ModelTesterMixin, common.GenerationTesterMixin, unittest.TestCase):
        all_model_classes = (MSERForEmotionGeneration,)
        _is_composite = True
        test_all_params_have_gradient = False  # the backbones are frozen

        def setUp(self) -> None:
            self.model_tester = TinyModelTester(self)

        def _prepare_for_class(self, inputs_dict: Any, model_class: type, return_labels: bool = False) -> Any:
            inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels)
            if return_labels:
                inputs["labels"] = inputs["input_ids"].masked_fill(inputs["input_ids"] == 3, -100)
            return inputs

    for name, reason in BY_DESIGN.items():
        setattr(MSERModelTest, name, unittest.skip(reason)(getattr(MSERModelTest, name)))
    torch.manual_seed(0)
    return MSERModelTest


def main() -> int:
    parser = argparse.ArgumentParser(description="Run Transformers' own model tests against this model.")
    parser.add_argument("--sdist", type=Path, help="Transformers' source distribution; fetched from PyPI by default")
    parser.add_argument("pytest_arguments", nargs="*", help="after --: passed on to pytest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack_tests(options.sdist or fetch_source(folder), folder)
        sys.path[:0] = [str(folder), str(TESTS), str(Path(__file__).parent)]
        stand_in_for_absent_files()
        file = folder / "test_model.py"
        file.write_text("from run_model_tester import make_test_case\n\nMSERModelTest = make_test_case()\n")
        arguments = [str(file), "-q", "--tb=short", "-p", "no:cacheprovider", "--rootdir", str(folder)]
        return int(pytest.main([*arguments, "-c", "/dev/null", *options.pytest_arguments]))


if __name__ == "__main__":
    sys.exit(main())
