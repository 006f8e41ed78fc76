"""Two processes (gloo) learn as one process with the batch of both: the model, and what objectives learn themselves."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

EMBEDDINGS = """
import json, sys
sys.path.insert(0, sys.argv[3])
import torch, torch.distributed as dist
from hf_mser.objectives import CrossEntropy, EmotionContrastive, SupervisedContrastive
from hf_mser.training.steps import StepLoss
from learned_scale import LearnedScale
from types import SimpleNamespace

folder, batches_each = sys.argv[1], int(sys.argv[2])
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
data = torch.load(f"{folder}/data.pt")
network = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5))
network.load_state_dict(data["weights"])
engine = torch.nn.parallel.DistributedDataParallel(network)

rows = torch.arange(16).view(batches_each, world, -1)[:, rank]  # successive batches go to successive ranks
batches = [
    {"x": data["x"][i], "emotion_id": data["y"][i], "language_id": data["z"][i], "labels": data["labels"][i]}
    for i in rows
]

def outputs_of(batch):
    embeds = engine(batch["x"])
    losses = (embeds.sum(1) - 1).square()
    kept = batch["labels"] != -100
    return SimpleNamespace(speech_embeds=embeds, loss=(losses * kept).sum() / kept.sum())

learned = LearnedScale()
objective = 2.0 * EmotionContrastive(margin=-0.5) + 0.5 * SupervisedContrastive() + CrossEntropy() + 3.0 * learned
step = StepLoss(objective, batches, lambda batch: vars(outputs_of(batch)))
total = 0.0
for position, batch in enumerate(batches):
    last = position == len(batches) - 1
    with engine.no_sync() if not last else torch.enable_grad():
        loss, _ = step.loss_of(position, outputs_of(batch))
        loss.backward()
    total += loss.detach()
dist.all_reduce(total)
if rank == 0:
    gradients = {name: weight.grad for name, weight in [*network.named_parameters(), *learned.named_parameters()]}
    torch.save({"loss": total / world, "gradients": gradients}, f"{folder}/two.pt")
dist.destroy_process_group()
"""

TRAINER = """
import json, sys
sys.path.insert(0, sys.argv[3])
import pickle, torch, torch.distributed as dist
from hf_mser.modeling_mser import MSERForEmotionGeneration
from hf_mser.processing_mser import MSERProcessor
from hf_mser.training.arguments import MSERTrainingArguments
from hf_mser.objectives import CrossEntropy, EmotionContrastive, SpeakerAdversary
from hf_mser.training.trainer import MSERTrainer
from learned_scale import LearnedScale

folder, accumulated = sys.argv[1], int(sys.argv[2])
model = MSERForEmotionGeneration.from_pretrained(f"{folder}/model")
processor = MSERProcessor.from_pretrained(f"{folder}/model")
clips = pickle.load(open(f"{folder}/clips.pkl", "rb"))
processes = int(__import__("os").environ.get("WORLD_SIZE", 1))
args = MSERTrainingArguments(
    output_dir=f"{folder}/run{processes}", per_device_train_batch_size=16 // processes // accumulated,
    gradient_accumulation_steps=accumulated, max_steps=3, logging_steps=1, optim="sgd", learning_rate=1e-3,
    max_grad_norm=50.0, standardize_clips=0, use_cpu=True,
    disable_tqdm=True, save_strategy="steps", save_steps=2, seed=1,
)
own = SpeakerAdversary(hidden_size=8, dropout=0.0) + LearnedScale()
objective = EmotionContrastive() + CrossEntropy() + own
trainer = MSERTrainer(
    model, args, objective=objective, train_dataset=clips, eval_dataset=clips[:13], processing_class=processor
)
first = {name: weight.detach().clone() for name, weight in objective.named_parameters()}
trainer.train(resume_from_checkpoint=sys.argv[4:] == ["resume"])
metrics = trainer.evaluate()
if args.process_index == 0:
    torch.save(model.state_dict(), f"{folder}/weights{processes}.pt")
    torch.save({"first": first, "last": dict(objective.named_parameters())}, f"{folder}/objective{processes}.pt")
    curve = [entry for entry in trainer.state.log_history if "loss" in entry]
    json.dump({"curve": curve, "metrics": metrics}, open(f"{folder}/log{processes}.json", "w"))
masks = torch.rand(4)
torch.save(masks, f"{folder}/dropout{args.process_index}.pt")
if dist.is_initialized():
    dist.destroy_process_group()
"""


def launch(script, *arguments, processes=2):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                **(
                    {
                        "RANK": str(rank),
                        "LOCAL_RANK": str(rank),
                        "WORLD_SIZE": str(processes),
                        "LOCAL_WORLD_SIZE": str(processes),
                        "MASTER_ADDR": "127.0.0.1",
                        "MASTER_PORT": port,
                    }
                    if processes > 1
                    else {}
                ),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(processes)
    ]
    for worker in workers:
        output, _ = worker.communicate(timeout=900)
        assert worker.returncode == 0, output.decode()[-3000:]


@pytest.mark.parametrize("batches_each", [1, 2])
def test_gradients_of_two_halves_equal_those_of_the_whole(tmp_path, batches_each):
    from types import SimpleNamespace

    from learned_scale import LearnedScale

    from hf_mser.objectives import CrossEntropy, EmotionContrastive, SupervisedContrastive

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5))
    x, y, z = torch.randn(16, 6), torch.arange(16) % 3, torch.arange(16) % 5 % 2
    labels = torch.where(torch.rand(16) < 0.4, -100, y)  # unevenly many targets on the two sides
    torch.save({"weights": network.state_dict(), "x": x, "y": y, "z": z, "labels": labels}, tmp_path / "data.pt")
    launch(EMBEDDINGS, tmp_path, batches_each, Path(__file__).parent)
    two = torch.load(tmp_path / "two.pt")

    embeds = network(x)
    kept = labels != -100
    cross_entropy = ((embeds.sum(1) - 1).square() * kept).sum() / kept.sum()
    outputs = SimpleNamespace(speech_embeds=embeds, loss=cross_entropy)
    learned = LearnedScale()
    objective = 2.0 * EmotionContrastive(margin=-0.5) + 0.5 * SupervisedContrastive() + CrossEntropy() + 3.0 * learned
    loss, _ = objective(outputs, {"emotion_id": y, "language_id": z})
    loss.backward()
    assert two["loss"].item() == pytest.approx(loss.item(), abs=1e-5)
    for name, weight in [*network.named_parameters(), *learned.named_parameters()]:
        torch.testing.assert_close(two["gradients"][name], weight.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_two_processes_train_as_one(make_model, clips, tmp_path):
    import pickle

    accumulated = 2

    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "statistics_dropout": 0.0}
    model, processor = make_model(qformer_config=none)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    (tmp_path / "clips.pkl").write_bytes(pickle.dumps(clips))
    here = Path(__file__).parent
    launch(TRAINER, tmp_path, accumulated, here)
    launch(TRAINER, tmp_path, 1, here, processes=1)
    one, two = (json.loads((tmp_path / f"log{n}.json").read_text()) for n in (1, 2))
    for key in ("loss", "loss/contrastive", "loss/cross_entropy", "similarity/negative"):
        assert [e[key] for e in two["curve"]] == pytest.approx([e[key] for e in one["curve"]], rel=1e-5, abs=1e-5)
    norms = [[e["grad_norm"] for e in run["curve"]] for run in (one, two)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    assert two["metrics"]["eval_WA"] == pytest.approx(one["metrics"]["eval_WA"])
    weights_one, weights_two = (torch.load(tmp_path / f"weights{n}.pt") for n in (1, 2))
    for name, weight in weights_one.items():
        torch.testing.assert_close(weights_two[name], weight, atol=1e-5, rtol=1e-4)
    own_one, own_two = (torch.load(tmp_path / f"objective{n}.pt") for n in (1, 2))
    for name, weight in own_one["last"].items():  # the speaker classifier and the scale have learned, and alike
        assert (weight - own_one["first"][name]).abs().max() > 1e-6, name
        torch.testing.assert_close(own_two["last"][name], weight, atol=1e-6, rtol=1e-4)
    assert not torch.equal(torch.load(tmp_path / "dropout0.pt"), torch.load(tmp_path / "dropout1.pt"))
    last_loss = two["curve"][-1]["loss"]
    launch(TRAINER, tmp_path, accumulated, here, "resume")  # from step 2
    again = json.loads((tmp_path / "log2.json").read_text())
    assert again["curve"][-1]["loss"] == last_loss
