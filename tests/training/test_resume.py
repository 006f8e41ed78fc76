"""Interruptions: what comes after a kill is what would have come anyway, and failures leave the last checkpoint."""

from pathlib import Path

import pytest
import torch
from test_trainer import arguments, losses

from hf_mser.training.checkpoints import (
    CheckpointError,
    NonFiniteLossError,
    TrainingDataError,
    is_complete,
    last_complete,
)
from hf_mser.training.features import FrozenFeatureCache
from hf_mser.training.trainer import MSERTrainer

SAVING = {"save_strategy": "steps", "save_steps": 3, "max_steps": 12, "per_device_train_batch_size": 8}


@pytest.fixture
def make_trainer(make_model, clips, tmp_path):
    def make(folder="run", *, rows=None, callbacks=None, cache=None, **options):
        model, processor = make_model()
        return MSERTrainer(
            model,
            arguments(tmp_path / folder, **{**SAVING, **options}),
            train_dataset=clips if rows is None else rows,
            processing_class=processor,
            callbacks=callbacks,
            feature_cache=cache,
        )

    return make


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("stop", [3, 6, 9])
def test_a_resumed_run_gives_the_very_same_losses(make_trainer, stop, accumulated):
    """Epochs are 5 (or 2.5) steps long, so that stops fall inside and between epochs."""
    shape = {"per_device_train_batch_size": 8 // accumulated, "gradient_accumulation_steps": accumulated}
    whole = make_trainer("whole", **shape)
    whole.train()
    resumed = make_trainer("whole", **shape)
    resumed.train(resume_from_checkpoint=str(Path(resumed.args.output_dir) / f"checkpoint-{stop}"))
    assert losses(resumed)[stop:] == losses(whole)[stop:]
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_resume_true_takes_the_last_complete_checkpoint(make_trainer):
    whole = make_trainer()
    whole.train()
    run = Path(whole.args.output_dir)
    (run / "checkpoint-12" / "trainer_state.json").write_text('{"global_step": 12, "log_his', encoding="utf-8")
    assert not is_complete(run / "checkpoint-12")
    assert last_complete(run) == run / "checkpoint-9"
    resumed = make_trainer()
    resumed.train(resume_from_checkpoint=True)
    assert losses(resumed) == losses(whole)


def test_checkpoints_hold_what_learns_and_no_more(make_trainer):
    from safetensors.torch import load_file

    trainer = make_trainer()
    trainer.train()
    saved = load_file(Path(trainer.args.output_dir) / "checkpoint-12" / "model.safetensors")
    assert saved
    assert all(name.startswith("connector.") for name in saved)


def test_resuming_with_other_data_is_refused(make_trainer, clips):
    first = make_trainer(max_steps=3)
    first.train()
    with pytest.raises(ValueError, match="belongs to another run"):
        make_trainer(rows=clips[:24]).train(resume_from_checkpoint=True)


def test_nothing_to_resume_from_says_so(make_trainer):
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        make_trainer("empty").train(resume_from_checkpoint=True)


def test_a_loss_that_is_no_number_stops_before_it_does_harm(make_trainer):
    from transformers import TrainerCallback

    class Poison(TrainerCallback):
        def on_step_begin(self, args, state, control, model=None, **kwargs):
            if state.global_step == 4:
                with torch.no_grad():
                    model.connector.query_tokens.fill_(float("nan"))

    trainer = make_trainer(callbacks=[Poison()])
    with pytest.raises(NonFiniteLossError, match=r"step 5.*checkpoint-3, is intact.*resume=true"):
        trainer.train()
    run = Path(trainer.args.output_dir)
    assert last_complete(run) == run / "checkpoint-3"
    make_trainer().train(resume_from_checkpoint=True)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_vanished_clip_is_named(make_trainer, clips, tmp_path, workers, cached):
    lost = tmp_path / "lost.wav"
    lost.write_bytes(Path(clips[0]["audio"]["path"]).read_bytes())
    rows = [{**clips[0], "audio": {"path": str(lost), "bytes": None}}, *clips[1:]]
    cache = FrozenFeatureCache(tmp_path / "cache", "tiny") if cached else None
    make_trainer(rows=rows, cache=cache, max_steps=3).train()
    lost.unlink()
    trainer = make_trainer(rows=rows, cache=cache, dataloader_num_workers=workers)
    with pytest.raises(TrainingDataError, match=r"lost\.wav(.|\n)*checkpoint-3, is intact"):
        trainer.train(resume_from_checkpoint=True)


def test_a_full_disk_keeps_the_last_checkpoint(make_trainer):
    """The file system itself says "no space": writes beyond a limit fail, as they do on a full disk."""
    import signal

    resource = pytest.importorskip("resource")

    make_trainer(max_steps=3).train()
    trainer = make_trainer()
    old, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
    try:
        with pytest.raises(CheckpointError, match=r"checkpoint-6 cannot be written(.|\n)*checkpoint-3, is intact"):
            trainer.train(resume_from_checkpoint=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    run = Path(trainer.args.output_dir)
    assert not (run / "checkpoint-6").exists()
    assert last_complete(run) == run / "checkpoint-3"
