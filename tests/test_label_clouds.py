"""Where the clips of each label lie: measured, found again in another domain, and what that adds to the scores."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import features, tiny_model
from torch.distributions import MultivariateNormal

from hf_mser import MSERForEmotionGeneration
from hf_mser.configuration_mser import MSERConfigError
from hf_mser.label_clouds import (
    CAUTION,
    CAUTION_AT_FIRST,
    ISOTROPIC,
    PRIOR_CLIPS_OF_LABEL,
    PRIOR_CLIPS_OF_SHARE,
    PRIOR_CLIPS_OF_SPEAKER,
    ROUNDS,
    SHARPNESS,
    SMALLEST_SHARE,
    LabelClouds,
)
from hf_mser.pretrained_speech import MSERModelError

LABELS = 4


def drawn(clips: int, seed: int, shift: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Readings around a middle for each label, and the labels."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(clips) % LABELS
    middles = 4.0 * torch.eye(LABELS) + (0 if shift is None else shift)
    return middles[labels] + torch.randn(clips, LABELS, generator=random), labels


def centred(values: torch.Tensor) -> torch.Tensor:
    return values.double() - values.double().mean(-1, keepdim=True)


@pytest.fixture
def clouds() -> LabelClouds:
    return LabelClouds.of(*drawn(400, 0))


def test_means_and_shape_are_those_of_the_clips(clouds):
    readings, labels = drawn(400, 0)
    rows = centred(readings).numpy()
    means = np.stack([rows[labels.numpy() == label].mean(0) for label in range(LABELS)])
    np.testing.assert_allclose(clouds.means.numpy(), means, atol=1e-6)
    covariance = sum(np.outer(row - means[label], row - means[label]) for row, label in zip(rows, labels, strict=True))
    covariance /= len(rows)
    shape = (1 - ISOTROPIC) * covariance + ISOTROPIC * np.trace(covariance) / LABELS * np.eye(LABELS)
    np.testing.assert_allclose(np.linalg.inv(clouds.precision.numpy()), shape, atol=1e-6)


def test_log_probs_are_those_of_normal_distributions_up_to_what_all_labels_share(clouds):
    readings, _ = drawn(5, 1)
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    weights, bias = clouds.log_probs(shares.log())
    covariance = torch.linalg.inv(SHARPNESS * clouds.precision)
    densities = torch.stack([MultivariateNormal(mean, covariance).log_prob(centred(readings)) for mean in clouds.means])
    expected = (densities.T + shares.log()).log_softmax(1)
    torch.testing.assert_close((readings.double() @ weights.T + bias).log_softmax(1), expected)


@pytest.mark.parametrize("told", [False, True])
def test_moving_is_expectation_and_maximisation_with_priors(clouds, told):
    """Against loops over clips, labels and speakers."""
    readings = centred(drawn(60, 2, shift=torch.tensor([0.0, 0.0, 0.0, 3.0]))[0])
    speakers = torch.arange(60) % 7 % 3
    means, shares = clouds.means.numpy().copy(), np.full(LABELS, 1 / LABELS)
    precision = SHARPNESS * clouds.precision.numpy()
    own = readings.numpy().copy()
    for _ in range(ROUNDS):
        belongs = np.zeros((len(readings), LABELS))
        for clip, row in enumerate(own):
            for label in range(LABELS):
                away = row - means[label]
                belongs[clip, label] = shares[label] * np.exp(-0.5 * away @ precision @ away)
            belongs[clip] /= belongs[clip].sum()
        if told:
            offsets = np.zeros((3, LABELS))
            for clip, speaker in enumerate(speakers.tolist()):
                offsets[speaker] += readings.numpy()[clip] - belongs[clip] @ means
            counts = np.bincount(speakers.numpy())
            offsets /= (counts + PRIOR_CLIPS_OF_SPEAKER)[:, None]
            for speaker in range(3):
                heard, of_all = belongs[speakers.numpy() == speaker].mean(0), belongs.mean(0)
                offsets[speaker] *= np.exp(-CAUTION * np.sum(heard * np.log(heard / of_all)))
            offsets -= np.average(offsets, axis=0, weights=counts)
            own = readings.numpy() - offsets[speakers.numpy()]
        for label in range(LABELS):
            total = belongs[:, label] @ own + PRIOR_CLIPS_OF_LABEL * clouds.means.numpy()[label]
            means[label] = total / (belongs[:, label].sum() + PRIOR_CLIPS_OF_LABEL)
        shares = belongs.sum(0) + PRIOR_CLIPS_OF_SHARE
        shares /= shares.sum()
    moved = clouds.moved_to(readings, speakers if told else None)
    np.testing.assert_allclose(moved.clouds.means.numpy(), means, atol=1e-8)
    np.testing.assert_allclose(moved.log_shares.exp().numpy(), shares, atol=1e-8)
    if told:
        np.testing.assert_allclose(moved.offsets.numpy(), offsets, atol=1e-8)
    else:
        assert moved.offsets is None


def test_labels_that_do_not_occur_take_no_part(clouds):
    """As if there were no such clouds."""
    readings, occur = drawn(60, 2)[0], [0, 2, 3]
    moved = clouds.moved_to(readings, labels=occur)
    alone = LabelClouds(clouds.means[occur], clouds.precision).moved_to(readings)
    torch.testing.assert_close(moved.clouds.means[occur], alone.clouds.means)
    torch.testing.assert_close(moved.log_shares[occur], alone.log_shares)
    torch.testing.assert_close(moved.clouds.means[1], clouds.means[1])
    assert float(moved.log_shares[1].exp()) == pytest.approx(SMALLEST_SHARE)


def test_what_makes_speakers_differ_is_found_whatever_their_clips_labels(clouds):
    """One of them is never heard with two of the labels: that is not how he differs."""
    readings, labels = drawn(600, 5)
    speakers = torch.arange(600) // 200
    kept = (speakers > 0) | (labels < 2)
    differ = torch.tensor([[0.0, 2.0, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 0]])
    readings = (readings + differ[speakers])[kept]
    moved = clouds.moved_to(readings, speakers[kept], caution=0.0)
    found = moved.offsets - moved.offsets[2]
    expected = centred(differ)
    torch.testing.assert_close(found, expected, atol=0.7, rtol=0)


def test_speakers_who_are_labels_in_truth_change_little(clouds):
    """Whoever takes folders of emotions for speakers, or finds groups of emotions, keeps most right answers."""
    readings, labels = drawn(600, 6)
    readings = readings + 2 * torch.randn(readings.shape, generator=torch.Generator().manual_seed(9))

    def right(**options) -> float:
        moved = clouds.moved_to(readings, **options)
        weights, bias = moved.answers()
        own = centred(readings) - (0 if moved.offsets is None else moved.offsets[labels])
        return float(((own @ weights.T + bias).argmax(1) == labels).float().mean())

    alone = right()
    assert right(speakers=labels, caution=0.0) < alone - 0.1
    assert right(speakers=labels, caution=CAUTION_AT_FIRST) > alone - 0.03


def test_labels_that_lie_elsewhere_are_found_again(clouds):
    shift = torch.tensor([[0.0, 3.5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 3.5, 0]])
    readings, labels = drawn(400, 3, shift)
    plain = (readings.argmax(1) == labels).float().mean()
    weights, bias = clouds.moved_to(readings).answers()
    moved = ((readings.double() @ weights.T + bias).argmax(1) == labels).float().mean()
    assert plain < 0.9
    assert moved > plain + 0.1


def test_the_weight_says_how_much_the_moved_clouds_count(clouds):
    readings, _ = drawn(10, 4)
    moved = clouds.moved_to(readings)
    weights, bias = moved.clouds.log_probs(moved.log_shares)
    half = replace(clouds, weight=0.5).moved_to(readings).answers()
    torch.testing.assert_close(half, (0.5 * weights, 0.5 * bias))


def test_a_config_holds_them(clouds):
    again = LabelClouds.from_dict(replace(clouds, weight=0.25, temperature=3.0).to_dict())
    torch.testing.assert_close(again.means, clouds.means, atol=1e-5, rtol=0)
    torch.testing.assert_close(again.precision, clouds.precision, atol=1e-5, rtol=0)
    assert (again.weight, again.temperature) == (0.25, 3.0)


@pytest.fixture
def adapted():
    """A model with a reader, as adaptation leaves it."""
    model = tiny_model(qformer={"num_readings": 7})
    random = torch.Generator().manual_seed(0)
    model.connector.reader_weight.normal_(generator=random)
    model.config.label_weights = torch.randn(7, 7, generator=random).tolist()
    model.config.label_bias = torch.randn(7, generator=random).tolist()
    return model


@torch.no_grad()
def test_readings_are_added_to_the_scores_of_labels_and_of_no_other_words(adapted):
    x, mask = features([120, 75])
    speech = adapted.connect_speech(x, mask)
    weights, bias = adapted.config.label_weights, adapted.config.label_bias
    scores = adapted.score_emotions(x, input_features_mask=mask)
    some = [adapted.config.candidate_ids[place] for place in (4, 1)]
    of_some = adapted.score_emotions(x, some, mask)
    other = [[9, 8], *some]
    of_other = adapted.score_emotions(x, other, mask)
    adapted.config.label_weights = adapted.config.label_bias = None
    plain = adapted.score_emotions(x, input_features_mask=mask)
    added = speech.readings @ torch.tensor(weights).T + torch.tensor(bias)
    torch.testing.assert_close(scores, plain + added, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(of_some, (plain + added)[:, [4, 1]], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(of_other, adapted.score_emotions(x, other, mask))


@torch.no_grad()
def test_tokens_alone_are_not_enough_for_an_adapted_model(adapted):
    x, mask = features([120])
    speech = adapted.connect_speech(x, mask)
    expected = adapted.score_emotions(x, input_features_mask=mask)
    given = {"speech_tokens": speech.speech_tokens, "speech_readings": speech.readings}
    torch.testing.assert_close(adapted.score_emotions(**given), expected)
    torch.testing.assert_close(adapted(x, mask).speech_readings, speech.readings)
    with pytest.raises(MSERModelError, match="give speech_readings, too"):
        adapted.score_emotions(speech_tokens=speech.speech_tokens)


@torch.no_grad()
def test_readings_are_linear_in_the_standardised_statistics(adapted):
    x, mask = features([120, 75])
    frames, frames_mask = adapted.encode_speech(x, mask)
    connector = adapted.connector
    connector.statistics_mean.normal_()
    normed = torch.nn.functional.layer_norm(frames, frames.shape[-1:])
    statistics = connector.pool_statistics(normed, frames_mask)
    rows = ((statistics - connector.statistics_mean) / connector.statistics_std).flatten(1)
    expected = rows @ connector.reader_weight.T + connector.reader_bias
    torch.testing.assert_close(connector.readings_of(statistics), expected, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(adapted.connect_speech(x, mask).readings, expected, atol=1e-3, rtol=1e-4)


def test_a_packed_checkpoint_keeps_the_reader_exactly(adapted, tmp_path):
    adapted.save_pretrained(tmp_path, full=True, packed=True)
    again = MSERForEmotionGeneration.from_pretrained(tmp_path)
    assert torch.equal(again.connector.reader_weight, adapted.connector.reader_weight)
    assert again.config.label_weights == adapted.config.label_weights


def test_weights_of_another_size_are_refused(adapted):
    with pytest.raises(
        MSERConfigError,
        match="a row for each of 7 labels, as long as num_readings and num_own_readings together \\(7\\)",
    ):
        type(adapted.config)(label_weights=[[1.0]], qformer_config={"num_readings": 7})
    with pytest.raises(MSERConfigError, match=r"together \(14\)"):
        type(adapted.config)(label_weights=[[1.0] * 7] * 7, qformer_config={"num_readings": 7, "num_own_readings": 7})
    with pytest.raises(MSERConfigError, match="num_readings needs num_statistics_tokens"):
        type(adapted.config)(qformer_config={"num_readings": 7, "num_statistics_tokens": 0})
    with pytest.raises(MSERConfigError, match="num_speaker_traits needs num_readings"):
        type(adapted.config)(qformer_config={"num_speaker_traits": 2})
    with pytest.raises(MSERConfigError, match="num_speakers needs num_speaker_traits"):
        type(adapted.config)(qformer_config={"num_readings": 7, "num_speakers": 2})
