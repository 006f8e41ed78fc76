"""FSDP2 for real, on two CPU processes: sharded weights learn, are saved and are resumed as whole ones are."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_two_processes import launch

# accelerate shards for the engines of GPUs alone and makes DDP of FSDP on a CPU without a word. FSDP2 itself does run
# on gloo: it is enough that accelerate's state, made beforehand, calls its processes those of GPUs.
WORKER = """
import json, os, pickle, sys
folder, engine = sys.argv[1:3]
sharded = engine == "sharded"
if sharded:
    os.environ |= {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_TRANSFORMER_CLS_TO_WRAP": "LlamaDecoderLayer,WhisperEncoderLayer,EmotionQFormer",
        "FSDP_RESHARD_AFTER_FORWARD": "true",
        "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
    }
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
if sharded:
    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
from torch.distributed.tensor import DTensor
from hf_mser.modeling_mser import MSERForEmotionGeneration
from hf_mser.objectives import CrossEntropy, EmotionContrastive, SpeakerAdversary
from hf_mser.processing_mser import MSERProcessor
from hf_mser.training.arguments import MSERTrainingArguments, TrainingArgumentsError
from hf_mser.training.trainer import MSERTrainer

model = MSERForEmotionGeneration.from_pretrained(f"{folder}/model")
processor = MSERProcessor.from_pretrained(f"{folder}/model")
clips = pickle.load(open(f"{folder}/clips.pkl", "rb"))
args = MSERTrainingArguments(
    output_dir=f"{folder}/{engine}", per_device_train_batch_size=4 if sharded else 8, gradient_accumulation_steps=2,
    max_steps=4, logging_steps=1, learning_rate=1e-3, max_grad_norm=50.0, standardize_clips=0, adaptation_clips=0,
    disable_tqdm=True, save_strategy="steps", save_steps=2, eval_strategy="steps", eval_steps=2,
    load_best_model_at_end=True, seed=1, use_cpu=True,
    accelerator_config={"use_configured_state": True} if sharded else None,
)
options = {"train_dataset": clips, "eval_dataset": clips[:12], "processing_class": processor}
if sharded:
    try:
        MSERTrainer(model, args, objective=CrossEntropy() + SpeakerAdversary(), **options)
    except TrainingArgumentsError as error:
        assert "has weights of its own" in str(error)
    else:
        raise AssertionError("an objective's weights, which FSDP would not train, were taken")
trainer = MSERTrainer(model, args, objective=EmotionContrastive() + CrossEntropy(), **options)
trainer.train(resume_from_checkpoint=sys.argv[3:] == ["resume"])
assert all(isinstance(weight, DTensor) for weight in trainer.model.parameters()) == sharded
metrics = trainer.evaluate()
trainer.save_model(f"{folder}/{engine}/final")
if args.process_index == 0:
    curve = [entry for entry in trainer.state.log_history if "loss" in entry]
    json.dump({"curve": curve, "metrics": metrics}, open(f"{folder}/{engine}.json", "w"))
if sharded:
    torch.distributed.destroy_process_group()
"""


def curve_of(folder: Path, engine: str, key: str) -> list[float]:
    return [entry[key] for entry in json.loads((folder / f"{engine}.json").read_text())["curve"]]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(torch.cpu.Stream, "record_event"), reason="torch 2.6 cannot shard weights on CPUs")
def test_sharded_weights_train_as_whole_ones(make_model, clips, tmp_path):
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "statistics_dropout": 0.0}
    model, processor = make_model(qformer_config=none)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    (tmp_path / "clips.pkl").write_bytes(pickle.dumps(clips))
    launch(WORKER, tmp_path, "whole", processes=1)
    launch(WORKER, tmp_path, "sharded")
    for key in ("loss", "loss/contrastive", "loss/cross_entropy", "grad_norm"):
        assert curve_of(tmp_path, "sharded", key) == pytest.approx(curve_of(tmp_path, "whole", key), rel=1e-5), key
    metrics = [json.loads((tmp_path / f"{engine}.json").read_text())["metrics"] for engine in ("whole", "sharded")]
    assert metrics[1]["eval_UA"] == pytest.approx(metrics[0]["eval_UA"])

    for kept in ("final", "checkpoint-4"):
        whole, sharded = (load_file(tmp_path / engine / kept / "model.safetensors") for engine in ("whole", "sharded"))
        assert set(sharded) == set(whole)  # the connector alone
        for name, weight in whole.items():
            torch.testing.assert_close(sharded[name], weight, atol=1e-5, rtol=1e-5)
    assert type(model).from_pretrained(tmp_path / "sharded" / "final").config.connector_only

    straight = curve_of(tmp_path, "sharded", "loss")
    shutil.rmtree(tmp_path / "sharded" / "checkpoint-4")
    launch(WORKER, tmp_path, "sharded", "resume")
    assert curve_of(tmp_path, "sharded", "loss") == straight
