"""Adaptation: the statistics it writes, what it leaves alone, and what it refuses."""

import json
import random

import numpy as np
import pytest
import torch

from hf_mser.adaptation import AdaptationError, _Sample, adapt, unadapted_afterwards
from hf_mser.adapted_answers import CLOUDS_PRIOR_CLIPS
from hf_mser.commands import adapt as command
from hf_mser.domains import VOICE_CLIPS
from hf_mser.label_clouds import LabelClouds
from hf_mser.own_reader import learn_from
from hf_mser.speakers import ordinary_of

RATE = 16_000


@pytest.fixture
def checkpoint():
    from hf_mser import load_embedded

    return load_embedded()


def clips(count: int, seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.normal(0, 0.1, int(draw.integers(8_000, 24_000))).astype(np.float32) for _ in range(count)]


@torch.no_grad()
def statistics_of(model, processor, sources) -> torch.Tensor:
    """Clip by clip, without batches: an independent reading of the same numbers."""
    rows = []
    for source in sources:
        features, mask = processor.extract_features([source])
        frames, _ = model.encode_speech(features, mask)
        normed = torch.nn.functional.layer_norm(frames, frames.shape[-1:])[0].double()
        rows.append(torch.stack([normed.mean(1), (normed.var(1, correction=0) + 1e-5).sqrt()], 1))
    return torch.stack(rows)


def test_statistics_become_those_of_the_clips_for_each_voice(checkpoint):
    model, processor = checkpoint
    sources = clips(7)
    rows = statistics_of(model, processor, sources)
    report = adapt(model, processor, sources, sampling_rate=RATE, batch_size=3, prior_clips=0)
    assert (report.weight, report.clips) == (1.0, 7)
    assert report.seconds == pytest.approx(sum(map(len, sources)) / RATE)
    voices = model.connector.voices_of(rows.float()).double()
    assert report.high_voices == pytest.approx(float(voices[:, 1].mean()), abs=1e-3)
    for voice, share in enumerate(voices.T):
        weight = share.sum() / (share.sum() + VOICE_CLIPS)
        own_mean = (share[:, None, None, None] * rows).sum(0) / share.sum()
        own_variance = (share[:, None, None, None] * (rows - own_mean).square()).sum(0) / share.sum()
        mean = weight * own_mean + (1 - weight) * rows.mean(0)
        variance = weight * own_variance + (1 - weight) * rows.var(0, correction=0)
        torch.testing.assert_close(model.connector.statistics_mean[voice].double(), mean, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(
            model.connector.statistics_std[voice].double(), variance.sqrt(), atol=2e-3, rtol=5e-2
        )


def test_few_clips_move_the_statistics_in_proportion(checkpoint):
    model, processor = checkpoint
    model.connector.voice_direction.zero_()  # nobody can tell: each clip counts half for either voice
    model.connector.voice_offset.zero_()
    sources = clips(5)
    before = model.connector.statistics_mean[0].clone()
    own = statistics_of(model, processor, sources).mean(0).float()
    report = adapt(model, processor, sources, sampling_rate=RATE, prior_clips=15.0)
    assert report.weight == pytest.approx(0.25)
    here = before + 0.25 * (own - before)
    weight = 2.5 / (2.5 + VOICE_CLIPS)
    expected = weight * own + (1 - weight) * here
    for voice in (0, 1):
        torch.testing.assert_close(model.connector.statistics_mean[voice], expected, atol=1e-3, rtol=1e-3)


def test_labels_heard_too_often_are_moved_half_way_to_equal_shares(checkpoint):
    """Of a checkpoint that keeps no clouds."""
    model, processor = checkpoint
    model.config.label_clouds = None
    sources = clips(6)
    report = adapt(model, processor, sources, sampling_rate=RATE)
    bias, model.config.label_bias = model.config.label_bias, None
    heard = []
    for source in sources:
        features, mask = processor.extract_features([source])
        scores = model.score_emotions(features, input_features_mask=mask)
        heard.append((scores / model.config.temperature).softmax(-1)[0])
    shares = torch.stack(heard).mean(0)
    assert list(report.label_shares) == model.config.labels
    torch.testing.assert_close(torch.tensor(list(report.label_shares.values())), shares, atol=1e-4, rtol=1e-3)
    expected = -0.5 * 6 / (6 + 10) * model.config.temperature * (shares * len(shares)).log()
    torch.testing.assert_close(torch.tensor(bias), expected, atol=1e-3, rtol=1e-3)

    plain = model.score_emotions(features, input_features_mask=mask)
    model.config.label_bias = bias
    torch.testing.assert_close(model.score_emotions(features, input_features_mask=mask), plain + torch.tensor(bias))
    chosen = [model.config.candidate_ids[place] for place in (4, 1)]
    some = model.score_emotions(features, chosen, mask)
    torch.testing.assert_close(some, plain[:, [4, 1]] + torch.tensor([bias[4], bias[1]]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("clouds", [True, False])
def test_labels_that_do_not_occur_are_ruled_out_and_take_no_clips(checkpoint, clouds):
    model, processor = checkpoint
    if not clouds:
        model.config.label_clouds = None
    sources, occur = clips(6), ["angry", "neutral", "sad"]
    labels, before = model.config.labels, torch.tensor(model.config.label_weights)
    places = [labels.index(label) for label in occur]
    report = adapt(model, processor, sources, sampling_rate=RATE, labels=occur)
    assert sum(report.label_shares.values()) == pytest.approx(1)
    assert {label for label, share in report.label_shares.items() if share} == set(occur)
    features, mask = processor.extract_features(sources)
    scores = model.score_emotions(features, input_features_mask=mask) / model.config.temperature
    assert float(scores.softmax(1)[:, places].sum(1).min()) > 1 - 1e-6
    if clouds:
        readings = model.connector.readings_of(statistics_of(model, processor, sources).float())[:, :7]
        moved = LabelClouds.from_dict(model.config.label_clouds).moved_to(readings, labels=places)
        expected = torch.lerp(before, moved.answers()[0].float(), 6 / (6 + CLOUDS_PRIOR_CLIPS))
        weights = torch.tensor(model.config.label_weights)[:, :7]
        torch.testing.assert_close(weights, expected, atol=1e-2, rtol=1e-2)
    else:
        assert model.config.label_weights == before.tolist()


@pytest.mark.parametrize(
    ("labels", "message"), [(["angry", "bored"], "'bored' is none of"), (["angry"], "two at least"), ([], "two at")]
)
def test_labels_that_occur_are_the_models_own_and_several(checkpoint, labels, message):
    before = json.dumps(checkpoint[0].config.to_dict())
    with pytest.raises(AdaptationError, match=message):
        adapt(*checkpoint, clips(3), sampling_rate=RATE, labels=labels)
    assert json.dumps(checkpoint[0].config.to_dict()) == before


def test_what_is_added_to_the_scores_moves_to_where_the_clips_lie(checkpoint):
    model, processor = checkpoint
    sources, config = clips(6), model.config
    before, temperature = torch.tensor(config.label_weights), config.temperature
    adapt(model, processor, sources, sampling_rate=RATE, equal_shares=0)
    statistics = statistics_of(model, processor, sources).float()
    readings = model.connector.readings_of(statistics)
    clouds = LabelClouds.from_dict(config.label_clouds)
    moved = clouds.moved_to(readings[:, :7])
    weights, bias = moved.answers()
    share = 6 / (6 + CLOUDS_PRIOR_CLIPS)
    expected = torch.cat([(1 - share) * before + share * weights.float(), clouds.weight * torch.eye(7)], 1)
    torch.testing.assert_close(torch.tensor(config.label_weights), expected, atol=1e-2, rtol=1e-2)
    values = model.connector.standardized(statistics).flatten(1)
    own = learn_from(values, readings[:, :7].double() @ weights.T / clouds.weight + bias / clouds.weight).reader
    torch.testing.assert_close(readings[:, 7:], own(values), atol=2e-2, rtol=2e-2)
    torch.testing.assert_close(torch.tensor(config.label_bias), share * bias.float(), atol=2e-2, rtol=1e-2)
    assert config.temperature == pytest.approx((1 - share) * temperature + share * clouds.temperature)


@pytest.mark.parametrize("equal_shares", [0.5, 1.0])
def test_labels_heard_too_often_after_that_are_moved_towards_equal_shares_as_well(checkpoint, equal_shares):
    model, processor = checkpoint
    sources = clips(6)
    with unadapted_afterwards(model):
        adapt(model, processor, sources, sampling_rate=RATE, equal_shares=0)
        features, mask = processor.extract_features(sources)
        scores = model.score_emotions(features, input_features_mask=mask)
        shares = (scores / model.config.temperature).softmax(-1).mean(0)
        expected = -equal_shares * 6 / (6 + 10) * model.config.temperature * (7 * shares).log()
    report = adapt(model, processor, sources, sampling_rate=RATE, equal_shares=equal_shares)
    torch.testing.assert_close(torch.tensor(list(report.label_shares.values())), shares, atol=1e-3, rtol=1e-2)
    after = model.score_emotions(features, input_features_mask=mask)
    torch.testing.assert_close(after, scores + expected, atol=2e-2, rtol=1e-2)


@pytest.mark.parametrize("equal_shares", [-0.1, 1.5, float("nan")])
def test_shares_are_moved_from_where_they_are_to_equal_ones_and_nowhere_else(checkpoint, equal_shares):
    with pytest.raises(AdaptationError, match="must be from 0"):
        adapt(*checkpoint, clips(2), sampling_rate=RATE, equal_shares=equal_shares)


def test_speakers_who_are_told_are_met_and_remembered(checkpoint, tmp_path):
    from hf_mser import MSERForEmotionGeneration

    model, processor = checkpoint
    sources, names = clips(6), ["ann", "bob", "ann", "eve", "bob", "ann"]
    report = adapt(model, processor, sources, sampling_rate=RATE, speakers=names)
    assert report.speakers == model.connector.config.num_speakers == 3
    statistics = statistics_of(model, processor, sources).float()
    traits = model.connector.traits_of(statistics)
    torch.testing.assert_close(model.connector.speaker_middles[0], traits[[0, 2, 5]].mean(0), atol=2e-2, rtol=1e-3)
    after = model.connector.readings_of(statistics)
    model.save_pretrained(tmp_path)
    again = MSERForEmotionGeneration.from_pretrained(tmp_path)
    torch.testing.assert_close(again.connector.readings_of(statistics), after)
    assert after.shape == (6, 14)

    offsets, speakers = model.connector.speaker_offsets.clone(), torch.tensor([0, 1, 0, 2, 1, 0])
    own = model.connector.own_weight.clone()
    model.connector.forget_domain()
    readings = model.connector.readings_of(statistics)
    moved = LabelClouds.from_dict(model.config.label_clouds).moved_to(readings, speakers)
    torch.testing.assert_close(offsets[:, :7], moved.offsets.float(), atol=1e-3, rtol=1e-2)
    weights, bias = moved.clouds.log_probs(moved.log_shares)
    said = (readings.double() - moved.offsets[speakers]) @ weights.T + bias
    values = model.connector.standardized(statistics).flatten(1)
    belongs = (said + learn_from(values, said).by_others).softmax(1)
    ordinary = ordinary_of(values, speakers, belongs)
    torch.testing.assert_close(offsets[:, 7:], ordinary @ own.T, atol=1e-2, rtol=1e-2)


def test_without_names_clips_that_sound_like_one_person_are_taken_together(checkpoint):
    model, processor = checkpoint
    report = adapt(model, processor, clips(30), sampling_rate=RATE)
    assert report.speakers == 2  # one for twelve clips
    assert adapt(model, processor, clips(23), sampling_rate=RATE).speakers == 0
    assert len(model.connector.speaker_middles) == 0


@pytest.mark.parametrize(("names", "message"), [("ab", "names 2, but there are more"), ("abcd", "more than the 3")])
def test_there_must_be_one_speaker_for_each_clip(checkpoint, names, message):
    with pytest.raises(AdaptationError, match=message):
        adapt(*checkpoint, clips(3), sampling_rate=RATE, speakers=names)


def test_words_that_are_no_labels_are_left_alone(checkpoint):
    config = checkpoint[0].config
    joyful = checkpoint[1].candidate_ids(["joyful", config.labels[0]])
    assert config.label_places(joyful) is None
    assert config.label_places(config.candidate_ids[3:1:-1]) == [3, 2]
    with pytest.raises(ValueError, match="label_bias has 2 entries"):
        type(config)(label_bias=[0.0, 1.0])


def test_the_sample_gives_every_clip_the_same_chance_and_keeps_within_its_bounds():
    drawn = np.zeros(40)
    for seed in range(400):
        sample = _Sample(10)
        sample._random = random.Random(seed)
        for clip in range(40):
            sample.add(torch.tensor([float(clip)]))
        assert len(sample.clips) == 10
        drawn[[int(clip) for clip in sample.clips]] += 1
    assert 60 < drawn.min() <= drawn.max() < 145  # a quarter of 400, within five deviations


def test_long_clips_leave_room_for_fewer():
    sample = _Sample(300)
    for _ in range(20):
        sample.add(torch.empty(1, 10 << 20))  # 40 MiB each: the least is ten of them
    assert len(sample.clips) == 10


def test_no_weight_changes(checkpoint):
    model, processor = checkpoint
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    adapt(model, processor, clips(4), sampling_rate=RATE)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.named_parameters())


def test_the_result_is_saved_and_loaded(checkpoint, tmp_path):
    from hf_mser import MSERForEmotionGeneration

    model, processor = checkpoint
    adapt(model, processor, clips(4), sampling_rate=RATE)
    assert model.config.label_bias
    model.save_pretrained(tmp_path)
    again = MSERForEmotionGeneration.from_pretrained(tmp_path)
    assert again.config.label_bias == model.config.label_bias
    assert again.config.label_weights == model.config.label_weights
    for name, tensor in model.connector.domain.items():
        torch.testing.assert_close(again.connector.domain[name], tensor)


def test_one_clip_is_too_few(checkpoint):
    with pytest.raises(AdaptationError, match="too few"):
        adapt(*checkpoint, clips(1), sampling_rate=RATE)


def test_command_takes_each_folder_for_a_person(tmp_path, capsys):
    import soundfile

    from hf_mser.cli import main

    for number, samples in enumerate(clips(5)):
        folder = tmp_path / "clips" / f"person {number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number}.wav", samples, RATE)
    (tmp_path / "clips" / "person 0" / "1 bad.wav").write_bytes(b"no audio")
    assert main(["adapt", str(tmp_path / "clips"), "--speaker-folders", "--output", str(tmp_path / "adapted")]) == 1
    assert "Speakers: 2" in capsys.readouterr().err
    assert json.loads((tmp_path / "adapted" / "config.json").read_text())["qformer_config"]["num_speakers"] == 2


def test_command_adapts_and_reports_bad_files(tmp_path, capsys):
    import soundfile

    from hf_mser.cli import main

    folder, output = tmp_path / "clips", tmp_path / "adapted"
    folder.mkdir()
    for number, samples in enumerate(clips(3)):
        soundfile.write(folder / f"{number}.wav", samples, RATE)
    assert main(["adapt", str(folder), "--output", str(output)]) == 0
    assert (output / "config.json").is_file()
    half = json.loads((output / "config.json").read_text())["label_bias"]
    (folder / "bad.wav").write_bytes(b"no audio")
    assert main(["adapt", str(folder), "--output", str(output), "--equal-shares", "0"]) == 1
    assert "bad.wav" in capsys.readouterr().err
    assert json.loads((output / "config.json").read_text())["label_bias"] != half
    assert main(["adapt", str(folder), "--output", str(output), "--equal-shares", "7"]) == 2
    assert "equal_shares=7.0 must be from 0" in capsys.readouterr().err
    assert command.add_subcommand.__doc__


def test_what_is_adapted_within_is_what_it_was_afterwards(checkpoint):
    model, processor = checkpoint
    sources = clips(6)
    adapt(model, processor, sources, sampling_rate=RATE, speakers=list("aabbcc"))
    features, mask = processor.extract_features(sources[:1])
    before = model.score_emotions(features, input_features_mask=mask) / model.config.temperature
    with unadapted_afterwards(model):
        adapt(model, processor, clips(9, seed=1), sampling_rate=RATE)
        within = model.score_emotions(features, input_features_mask=mask) / model.config.temperature
        assert not torch.allclose(before, within, atol=1e-2)
    assert model.connector.config.num_speakers == 3
    after = model.score_emotions(features, input_features_mask=mask) / model.config.temperature
    torch.testing.assert_close(before, after)


def test_speakers_are_refused_by_a_checkpoint_that_cannot_tell_them_apart(checkpoint):
    model, processor = checkpoint
    model.connector.trait_weight.zero_()
    with pytest.raises(AdaptationError, match="adapt it without `speakers`"):
        adapt(model, processor, clips(2), sampling_rate=RATE, speakers=["ann", "bob"])
    assert adapt(model, processor, clips(30), sampling_rate=RATE).speakers == 0
