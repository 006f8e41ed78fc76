"""How heads begin, what a step learns from, and that a run which was cut short ends as if it had not been."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from hf_mser.objectives.resonance import TripleResonance
from hf_mser.training.checkpoints import CheckpointError, NonFiniteLossError
from hf_mser.training.sere.learning import CollapseWarning, ResonanceLearner
from hf_mser.training.sere.model import FrameHead, ResonanceModel, Sounding
from hf_mser.training.sere.recipe import TrainingSection
from hf_mser.training.sere.start import regression, set_linear, start_heads

TRAINING = TrainingSection(steps=12, warm_up_steps=4, learning_rate=1e-3, save_every=5, log_every=1)


def learner_of(sounds, checkpoint=None, training=TRAINING, seed=0, **objective):
    torch.manual_seed(seed)
    model = ResonanceModel(sounds.widths, len(sounds.classes), hidden=16, size=8)
    start_heads(model, sounds)
    return ResonanceLearner(model, TripleResonance(**{"entropy": 1.0, **objective}), sounds, training, seed, checkpoint)


def weights(learner):
    return torch.cat([value.flatten().float() for value in learner.model.state_dict().values()])


def test_a_head_begins_as_a_matrix_does():
    torch.manual_seed(0)
    head, matrix, frames = FrameHead(12, hidden=10, size=6).eval(), torch.randn(6, 12), 0.1 * torch.randn(40, 12)
    with torch.no_grad():
        set_linear(head, matrix)
        likeness = cosine_similarity(head(frames), frames @ matrix.T)
    assert likeness.min() > 0.99


def test_regression_finds_what_made_the_answers():
    torch.manual_seed(0)
    heard, matrix = torch.randn(4000, 5) + 3, torch.randn(2, 5)
    found = regression(heard, heard @ matrix.T + 1)
    torch.testing.assert_close(found, matrix * len(heard) / (2 * len(heard)), atol=0.05, rtol=0.1)


def test_two_encoders_begin_in_one_space(sounds):
    model = learner_of(sounds).model.eval()
    with torch.no_grad():
        one, other = (model.embed([own]) for own in sounds.labelled)
    same = (one * other).sum(1).mean()
    different = (one * other.roll(1, 0)).sum(1).mean()
    assert len(sounds.widths) == 2
    assert same > different + 0.1


def test_embeddings_are_unit_vectors_and_do_not_depend_on_the_batch(sounds):
    model = learner_of(sounds).model.eval()
    model.prototypes.copy_(normalize(torch.randn_like(model.prototypes), dim=1))
    clips = sounds.test.clips
    with torch.no_grad():
        together = model.embed([sounds.test])
        alone = [model.embed([Sounding(sounds.test.encoder, clips.take(torch.tensor([i])))]) for i in range(3)]
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(together)))
    torch.testing.assert_close(together[:3], torch.cat(alone))


def test_a_run_that_was_cut_short_ends_as_if_it_had_not_been(sounds, tmp_path):
    whole = learner_of(sounds)
    history = whole.learn()

    class Killed(Exception):
        pass

    def until_step_8(entry):
        if entry["step"] == 8:
            raise Killed

    with pytest.raises(Killed):
        learner_of(sounds, tmp_path / "state.pt").learn(until_step_8)
    resumed = learner_of(sounds, tmp_path / "state.pt")
    resumed_history = resumed.learn()
    assert resumed.history[4]["step"] == 5  # what was logged before is still there
    assert weights(resumed).equal(weights(whole))
    for ours, theirs in zip(resumed_history, history, strict=True):
        assert ours == pytest.approx(theirs, nan_ok=True)


def test_a_damaged_state_is_an_error_with_a_cure(sounds, tmp_path):
    torch.save({"step": 3}, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match="Remove it"):
        learner_of(sounds, tmp_path / "state.pt").learn()


def test_labels_of_unlabelled_clips_are_watched_and_never_learned_from(sounds):
    honest = learner_of(sounds)
    honest.learn()
    lied_to = learner_of(replace(sounds, references=tuple((r + 1) % 4 for r in sounds.references)))
    lied_to.learn()
    assert weights(lied_to).equal(weights(honest))
    watched = [entry["confident_accuracy/target"] for entry in (honest.history[-1], lied_to.history[-1])]
    assert watched[0] > watched[1]


def test_the_warm_up_hears_labelled_clips_alone(sounds):
    silent = [replace(own, clips=replace(own.clips, values=own.clips.values * 0)) for own in sounds.unlabelled]
    with_, without = learner_of(sounds), learner_of(sounds)
    without.sounds = replace(sounds, unlabelled=tuple(silent))
    for learner in (with_, without):
        learner.model.eval().found_structure(*learner.embed_labelled())
        learner.model.train()
    for step in range(TRAINING.warm_up_steps + 1):
        assert weights(with_).equal(weights(without)), step
        with_._step()
        without._step()
    assert not weights(with_).equal(weights(without))


@pytest.mark.filterwarnings("ignore::hf_mser.training.sere.learning.CollapseWarning")
def test_another_seed_is_another_run(sounds):
    first, second = learner_of(sounds, seed=1), learner_of(sounds, seed=2)
    first.learn()
    second.learn()
    assert not weights(first).equal(weights(second))


def test_readings_that_all_agree_are_reported(sounds):
    learner = learner_of(sounds)
    learner.history = [{"commonest/source": 0.3, "commonest/target": 0.9}]
    with pytest.warns(CollapseWarning, match="90 % of the unlabelled"):
        learner._warn_of_collapse()


def test_the_guard_keeps_the_prototypes_from_one_emotion(sounds):
    """Unlabelled clips that all sound like one emotion: with the guard they cannot all become it."""
    learner = learner_of(sounds, largest_share=1.0, confidence=0.0)
    readings = normalize(torch.tensor([[5.0, 1.0, 1.0, 1.0]] * 20), p=1, dim=1)
    assert (learner.objective.guesses(readings) == 0).sum() == 5


def test_a_loss_that_is_no_number_stops_the_run(sounds):
    broken = replace(sounds, source={k: replace(v, values=v.values * float("nan")) for k, v in sounds.source.items()})
    learner = learner_of(sounds)
    learner.labelled = broken.labelled
    with pytest.raises(NonFiniteLossError, match="step 0"):
        learner._step()


def test_logged_steps_are_those_asked_for(sounds):
    learner = learner_of(sounds, training=replace(TRAINING, log_every=5))
    assert [entry["step"] for entry in learner.learn()] == [5, 10, 12]
