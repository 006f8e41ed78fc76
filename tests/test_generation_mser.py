"""`generate`: agrees with the scores, hears the speech once, and takes what every Transformers model takes."""

import copy

import pytest
import torch
from tiny_models import FAMILIES, features, tiny_model

from hf_mser import MSERForEmotionGeneration
from hf_mser.modeling_mser import MSERModelError

LENGTHS = [20, 31, 44]


@pytest.fixture(scope="module")
def model() -> MSERForEmotionGeneration:
    return tiny_model()


@pytest.fixture
def heard() -> dict[str, torch.Tensor]:
    sound, mask = features(LENGTHS)
    return {"input_features": sound, "input_features_mask": mask}


def constrained(model: MSERForEmotionGeneration, heard: dict[str, torch.Tensor], **options: object) -> list[list[int]]:
    """What each clip's beams end in, when they may write nothing but candidates: the best one."""
    length = len(model.config.prompt_ids)
    written = model.generate(
        **heard,
        prefix_allowed_tokens_fn=model.candidate_constraint(length),
        num_beams=len(model.config.candidate_ids),
        length_penalty=0.0,
        max_new_tokens=8,
        do_sample=False,
        eos_token_id=1,
        pad_token_id=1,
        **options,
    )
    answers = []
    for row in written[:, length:].tolist():
        end = row.index(1) + 1
        answers.append(row[:end])
    return answers


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_constrained_beams_end_in_the_best_candidate(family, seed, heard):
    model = tiny_model(family, seed=seed)
    best = model.score_emotions(**heard).argmax(1).tolist()
    assert constrained(model, heard) == [model.config.candidate_ids[index] for index in best]


def test_without_a_cache_the_same_is_said(model, heard):
    assert constrained(model, heard, use_cache=False) == constrained(model, heard)


@pytest.mark.parametrize("options", [{}, {"use_cache": False}, {"num_beams": 3}])
def test_speech_is_encoded_once(model, heard, options):
    calls = []
    handle = model.speech_encoder.register_forward_hook(lambda *_: calls.append(None))
    model.generate(**heard, max_new_tokens=4, min_new_tokens=4, do_sample=False, **options)
    handle.remove()
    assert len(calls) == 1


def test_greedy_equals_a_forward_per_token(model, heard):
    sequence = torch.tensor([model.config.prompt_ids])
    for _ in range(5):
        logits = model(input_features=heard["input_features"][1:2, :, :31], input_ids=sequence).logits
        sequence = torch.cat([sequence, logits[:, -1:].argmax(-1)], 1)
    written = model.generate(**heard, max_new_tokens=5, min_new_tokens=5, do_sample=False, eos_token_id=None)
    assert written[1].tolist() == sequence[0].tolist()


def test_greedy_with_dictionary_output_and_own_prompt(model, heard):
    prompt = torch.tensor([[0, 30, *[200] * 4, 20]] * 3)
    output = model.generate(
        **heard, input_ids=prompt, max_new_tokens=2, min_new_tokens=2, return_dict_in_generate=True, output_scores=True
    )
    assert torch.equal(output.sequences[:, :7], prompt)
    assert len(output.scores) == 2
    logits = model(**heard, input_ids=prompt).logits[:, -1]
    torch.testing.assert_close(output.scores[0].argmax(-1), logits.masked_fill(logits == logits[:, 1:2], -9).argmax(-1))


def test_frames_computed_earlier_generate_the_same(model, heard):
    frames, mask = model.encode_speech(**heard)
    options = {"max_new_tokens": 4, "do_sample": False}
    from_frames = model.generate(speech_frames=frames, speech_frames_mask=mask, **options)
    assert torch.equal(from_frames, model.generate(**heard, **options))


def test_the_llms_end_token_ends_the_answer(model):
    assert model.generation_config.eos_token_id == 1
    assert model.generation_config.bos_token_id == 0


def test_the_constraint_allows_candidates_and_nothing_else(model):
    allowed = model.candidate_constraint(2, [[5, 1], [6, 7, 1], [6, 8, 1]])
    assert allowed(0, torch.tensor([9, 9])) == [5, 6]
    assert allowed(0, torch.tensor([9, 9, 6])) == [7, 8]
    assert allowed(0, torch.tensor([9, 9, 6, 8])) == [1]
    assert allowed(0, torch.tensor([9, 9, 5, 1])) == [1]


def test_no_prompt_anywhere_is_refused(heard):
    model = tiny_model()
    model.config.prompt_ids = None
    with pytest.raises(MSERModelError, match="holds no prompt_ids: give input_ids"):
        model.generate(**heard)


def test_the_temperature_of_the_scores_is_none_of_generations(model, tmp_path):
    config = copy.deepcopy(model.config)
    config.temperature = 1.7
    other = MSERForEmotionGeneration(config)
    assert other.generation_config.temperature is None  # the default, 1
    other.save_pretrained(tmp_path, full=True)
    loaded = MSERForEmotionGeneration.from_pretrained(tmp_path)
    assert (loaded.config.temperature, loaded.generation_config.temperature) == (1.7, None)
