"""A new connector measures training clips before it learns: what is ordinary, and what adaptation will need."""

import json

import numpy as np
import pytest
import torch
from datasets import Audio, Dataset
from test_trainer import arguments

from hf_mser.adaptation import AdaptationError, adapt
from hf_mser.audio import load_audio
from hf_mser.label_clouds import LabelClouds
from hf_mser.modeling_mser import MSERForEmotionGeneration
from hf_mser.processing_mser import MSERProcessor
from hf_mser.training import first_hearing
from hf_mser.training.first_hearing import is_standardized
from hf_mser.training.trainer import MSERTrainer


def trained(make_model, clips, folder, **options):
    model, processor = make_model(**options.pop("model", {}))
    args = arguments(folder, **{"max_steps": 1, **options})
    trainer = MSERTrainer(model, args, train_dataset=clips, processing_class=processor)
    trainer.train()
    return trainer


@torch.no_grad()
def frames_of(model, processor, clips) -> list[torch.Tensor]:
    """Normalised frames (layers, time, width) of each clip by itself."""
    heard = []
    for clip in clips:
        frames, _ = model.encode_speech(*processor.extract_features([load_audio(clip["audio"])]))
        heard.append(torch.nn.functional.layer_norm(frames, frames.shape[-1:])[0].double())
    return heard


def test_what_is_ordinary_is_mean_and_deviation_of_the_clips_frames_and_statistics(make_model, clips, tmp_path):
    model, processor = make_model()
    assert not is_standardized(model.connector)
    heard = frames_of(model, processor, clips)
    connector = trained(make_model, clips, tmp_path, learning_rate=0.0).model.connector
    assert is_standardized(connector)
    frames = torch.cat(heard, 1)
    torch.testing.assert_close(connector.frame_mean.double(), frames.mean(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(connector.frame_std.double(), frames.std(1, correction=0), atol=1e-3, rtol=0)
    rows = torch.stack(
        [torch.stack([own.mean(1), (own.var(1, correction=0) + 1e-5).sqrt()], 1) for own in heard]
    )  # fmt: skip
    torch.testing.assert_close(connector.statistics_mean.double(), rows.mean(0), atol=1e-4, rtol=0)
    deviation = rows.std(0, correction=0).clamp(min=1e-3)
    torch.testing.assert_close(connector.statistics_std.double(), deviation, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize(("standardized", "adaptable"), [(512, 0), (0, 4000), (0, 0)])
def test_the_arguments_say_what_is_measured(make_model, clips, tmp_path, standardized, adaptable):
    sizes = {"standardize_clips": standardized, "adaptation_clips": adaptable}
    model = trained(make_model, clips, tmp_path, **sizes).model
    assert is_standardized(model.connector) == bool(standardized)
    assert bool(model.config.label_clouds) == bool(model.connector.config.num_readings) == bool(adaptable)


def test_a_trained_connector_keeps_its_own(make_model, clips, tmp_path):
    model, processor = make_model()
    model.connector.frame_mean.fill_(0.5)
    MSERTrainer(model, arguments(tmp_path, max_steps=1), train_dataset=clips, processing_class=processor).train()
    assert bool((model.connector.frame_mean == 0.5).all())


def test_a_trained_checkpoint_finds_the_labels_clouds_and_the_speakers_of_another_domain(make_model, clips, tmp_path):
    trainer = trained(make_model, clips, tmp_path)
    trainer.save_model(tmp_path / "checkpoint")
    model = MSERForEmotionGeneration.from_pretrained(tmp_path / "checkpoint")
    processor = MSERProcessor.from_pretrained(tmp_path / "checkpoint")
    assert model.config.label_weights is None  # as it is, the answers are the LLM's alone
    heard = frames_of(model, processor, clips)
    rows = torch.stack(
        [torch.stack([own.mean(1), (own.var(1, correction=0) + 1e-5).sqrt()], 1) for own in heard]
    ).float()  # fmt: skip
    truth = torch.tensor([model.config.labels.index(clip["emotion"]) for clip in clips])
    assert (model.connector.readings_of(rows).argmax(1) == truth).float().mean() > 0.7
    clouds = LabelClouds.from_dict(model.config.label_clouds)
    assert (clouds.means.argmax(1) == torch.arange(4)).all()

    sounds = [load_audio(clip["audio"]) for clip in clips]
    report = adapt(model, processor, sounds, sampling_rate=16_000, speakers=[clip["speaker"] for clip in clips])
    assert report.speakers == 5
    assert sum(report.label_shares.values()) == pytest.approx(1)
    weights, bias = torch.tensor(model.config.label_weights), torch.tensor(model.config.label_bias)
    added = model.connector.readings_of(rows) @ weights.T + bias
    assert (added.argmax(1) == truth).float().mean() > 0.7


@pytest.mark.parametrize("case", ["a label with too few clips", "no statistics tokens"])
def test_where_it_cannot_be_measured_a_checkpoint_adapts_without_it(make_model, clips, tmp_path, case):
    few = [clip for number, clip in enumerate(clips) if clip["emotion"] != "sad" or number < 16]
    rows = few if case.startswith("a label") else clips
    tokens = {"num_statistics_tokens": 0} if case.startswith("no") else {}
    trainer = trained(make_model, rows, tmp_path, model={"qformer_config": tokens}, balanced_batches=False)
    model, processor = trainer.model, trainer.processing_class
    assert model.config.label_clouds is None
    assert model.connector.config.num_readings == 0
    sounds = [load_audio(clip["audio"]) for clip in clips]
    assert adapt(model, processor, sounds, sampling_rate=16_000).speakers == 0
    assert model.config.label_bias is not None
    with pytest.raises(AdaptationError, match="cannot tell speakers apart: adapt it without `speakers`"):
        adapt(model, processor, sounds, sampling_rate=16_000, speakers=["ann"] * len(sounds))


def test_without_speakers_in_the_corpus_none_are_told_apart(make_model, clips, tmp_path):
    rows = [{**clip, "speaker": None} for clip in clips]
    model = trained(make_model, rows, tmp_path).model
    assert model.config.label_clouds
    assert not model.connector.tells_speakers


def test_a_run_that_goes_on_keeps_what_it_had_measured(make_model, clips, tmp_path, monkeypatch):
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    whole = trained(make_model, clips, tmp_path, **options)
    written = json.loads((tmp_path / "checkpoint-2" / "config.json").read_text())
    assert written["label_clouds"] == whole.model.config.label_clouds

    def refused(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(first_hearing, "_hear", refused)
    model, processor = make_model()
    args = arguments(tmp_path, **options)
    again = MSERTrainer(model, args, train_dataset=clips, processing_class=processor)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert again.model.config.label_clouds == whole.model.config.label_clouds
    for name, tensor in whole.model.connector.state_dict().items():
        torch.testing.assert_close(again.model.connector.state_dict()[name], tensor, msg=name)


def test_training_goes_on_from_an_adapted_checkpoint_with_its_clouds_and_without_its_answers(
    make_model, clips, tmp_path
):
    first = trained(make_model, clips, tmp_path / "first")
    model, processor = first.model, first.processing_class
    clouds, reader = model.config.label_clouds, model.connector.reader_weight.clone()
    sounds = [load_audio(clip["audio"]) for clip in clips]
    adapt(model, processor, sounds, sampling_rate=16_000, speakers=[clip["speaker"] for clip in clips])
    assert model.connector.config.num_speakers == 5
    args = arguments(tmp_path / "second", max_steps=1)
    MSERTrainer(model, args, train_dataset=clips[:16], processing_class=processor).train()
    assert (model.config.label_weights, model.config.label_bias, model.config.temperature) == (None, None, 1.0)
    assert model.connector.config.num_speakers == 0
    assert model.config.label_clouds == clouds
    assert torch.equal(model.connector.reader_weight, reader)


def test_clips_that_only_stream_are_heard_from_the_first_on(make_model, clips, tmp_path):
    rows = [{**clip, "audio": clip["audio"]["path"]} for clip in clips]
    stream = Dataset.from_list(rows).cast_column("audio", Audio(16_000, decode=False)).to_iterable_dataset()
    trainer = trained(make_model, stream, tmp_path, balanced_batches=False)
    assert trainer.model.config.label_clouds
    plain = trained(make_model, clips, tmp_path)
    torch.testing.assert_close(trainer.model.connector.frame_mean, plain.model.connector.frame_mean, atol=1e-5, rtol=0)


def test_no_more_is_heard_than_memory_holds(make_model, clips, tmp_path, monkeypatch):
    monkeypatch.setattr(first_hearing, "SAMPLE_BYTES", 1)
    model, processor = make_model()
    args = arguments(tmp_path, max_steps=1, per_device_eval_batch_size=24)
    trainer = MSERTrainer(model, args, train_dataset=clips, processing_class=processor)
    heard = first_hearing._hear(trainer, 4000)
    assert len(heard.statistics) == len(heard.corpora) == len(heard.genders) == 24
    assert set(np.unique(heard.speakers)) <= {f"s{number}" for number in range(5)}
