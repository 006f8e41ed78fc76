"""Launchers: accelerate's configs say what they are meant to, and a launched recipe really trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "training" / "recipes" / "accelerate"


def launch_arguments(name):
    """What `accelerate launch --config_file NAME` makes of the file."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    parser = launch_command_parser()
    arguments, config, _ = _validate_launch_command(
        parser.parse_args(["--config_file", str(CONFIGS / name), str(ROOT / "training" / "train.py")])
    )
    arguments.deepspeed_fields_from_accelerate_config = ",".join(config.deepspeed_config)
    return arguments


def test_the_fsdp_config_shards_the_layers_that_the_model_has(make_model, monkeypatch):
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.utils.launch import prepare_multi_gpu_env

    arguments = launch_arguments("fsdp.yaml")
    assert arguments.use_fsdp
    assert arguments.num_processes == 4
    for name, value in prepare_multi_gpu_env(arguments).items():
        if name.startswith(("FSDP_", "ACCELERATE_")):
            monkeypatch.setenv(name, value)
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"
    assert os.environ["ACCELERATE_MIXED_PRECISION"] == "bf16"
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    model, _ = make_model()
    plugin.set_auto_wrap_policy(model)  # raises where the model has no such layer
    kinds = {type(module).__name__ for module in model.modules()}
    assert set(plugin.transformer_cls_names_to_wrap) == {"LlamaDecoderLayer", "WhisperEncoderLayer", "EmotionQFormer"}
    assert set(plugin.transformer_cls_names_to_wrap) <= kinds


def test_the_deepspeed_config_is_zero_two():
    from accelerate.utils.launch import prepare_deepspeed_cmd_env

    arguments = launch_arguments("deepspeed.yaml")
    assert arguments.use_deepspeed
    _, environment = prepare_deepspeed_cmd_env(arguments)
    expected = {
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2",
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "auto",
        "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "none",
    }
    assert {name: environment[name] for name in expected} == expected


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_launched_recipe_trains(content, tmp_path, processes):
    """One process by accelerate; two by torchrun, since `accelerate launch --cpu` starts one whatever it is told."""
    content["training"] |= {"max_steps": 2, "eval_strategy": "no", "load_best_model_at_end": False, "save_steps": 2}
    content["training"] |= {"per_device_train_batch_size": 8 // processes, "report_to": "none"}
    recipe = tmp_path / "tones.yaml"
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    launcher = {
        1: ["accelerate.commands.launch", "--cpu", "--num_processes", "1"],
        2: ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    }[processes]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, str(ROOT / "training" / "train.py"), str(recipe)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert results["steps"] == 2
    assert results["sets"]["test/tones"]["n"] == 8
    states = sorted(path.name for path in (tmp_path / "run" / "checkpoint-2").glob("rng_state*"))
    assert states == (["rng_state.pth"] if processes == 1 else ["rng_state_0.pth", "rng_state_1.pth"])
    assert done.stdout.count("test/tones: n 8") == 1
