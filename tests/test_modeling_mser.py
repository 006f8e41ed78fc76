"""The model's path from features to scores, its loss, and what stays frozen."""

import pytest
import torch
from tiny_models import FAMILIES, features, llm, tiny_config, tiny_model, whisper_config
from transformers import AutoModel, AutoModelForMultimodalLM
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from hf_mser import MSERForEmotionGeneration
from hf_mser.configuration_mser import SpeechLengthError
from hf_mser.modeling_mser import MSERModelError

LENGTHS = [20, 31, 44, 60]


@pytest.fixture(scope="module")
def model() -> MSERForEmotionGeneration:
    return tiny_model()


@pytest.fixture
def heard() -> dict[str, torch.Tensor]:
    sound, mask = features(LENGTHS)
    return {"input_features": sound, "input_features_mask": mask}


def answered(model: MSERForEmotionGeneration, classes: list[int]) -> dict[str, torch.Tensor]:
    """Prompts with their answers, padded on the right, as the processor makes them."""
    stem = model.config.prompt_ids
    answers = [model.config.candidate_ids[index] for index in classes]
    longest = max(map(len, answers))
    rows, labels, mask = [], [], []
    for answer in answers:
        padding = longest - len(answer)
        rows.append(stem + answer + [0] * padding)
        labels.append([-100] * len(stem) + answer + [-100] * padding)
        mask.append([1] * (len(stem) + len(answer)) + [0] * padding)
    names = ("input_ids", "labels", "attention_mask")
    return {name: torch.tensor(value) for name, value in zip(names, (rows, labels, mask), strict=True)}


def naive_scores(model: MSERForEmotionGeneration, heard: dict[str, torch.Tensor], prompt: list[int]) -> torch.Tensor:
    """A whole forward for every clip and candidate, on the clip's own length."""
    table = []
    for sound, mask in zip(heard["input_features"], heard["input_features_mask"], strict=True):
        row = []
        for ids in model.config.candidate_ids:
            sequence = torch.tensor([prompt + ids])
            logits = model(input_features=sound[None, :, : int(mask.sum())], input_ids=sequence, use_cache=False).logits
            steps = logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            row.append(steps[range(len(ids)), ids].sum())
        table.append(torch.stack(row))
    return torch.stack(table)


# -- scores -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_scores_equal_a_whole_forward_per_clip_and_word(family, heard):
    model = tiny_model(family)
    expected = naive_scores(model, heard, model.config.prompt_ids)
    torch.testing.assert_close(model.score_emotions(**heard), expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_prompt_that_begins_with_words_gives_what_a_whole_forward_gives(model, heard):
    prompt = [0, 30, 31, 32, 33, *[200] * 4, 20, 21]
    scores = model.score_emotions(**heard, input_ids=torch.tensor([prompt] * 4))
    torch.testing.assert_close(scores, naive_scores(model, heard, prompt), atol=1e-4, rtol=0)


@torch.no_grad()
def test_sixteen_clips_of_mixed_lengths_score_as_they_do_alone(model):
    lengths = [5, 8, 13, 21, 34, 55, 89, 100, 101, 102, 103, 120, 144, 150, 151, 200]
    sound, mask = features(lengths)
    together = model.score_emotions(sound, input_features_mask=mask)
    alone = [model.score_emotions(sound[row : row + 1, :, :length]) for row, length in enumerate(lengths)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=0)


@torch.no_grad()
def test_speech_makes_a_difference(model, heard):
    scores = model.score_emotions(**heard)
    assert (scores[1:] - scores[:1]).abs().max(1).values.min() > 0.01


@torch.no_grad()
def test_mean_divides_by_the_number_of_tokens(model, heard):
    lengths = torch.tensor([len(ids) for ids in model.config.candidate_ids])
    summed = model.score_emotions(**heard, normalization="sum")
    torch.testing.assert_close(model.score_emotions(**heard, normalization="mean"), summed / lengths)


@torch.no_grad()
def test_prior_takes_away_what_the_llm_says_without_speech(model, heard):
    summed = model.score_emotions(**heard, normalization="sum")
    words = [token for token in model.config.prompt_ids if token != 200]
    expected = []
    for ids in model.config.candidate_ids:
        logits = model.text_model(torch.tensor([words + ids])).logits[0, len(words) - 1 : -1].log_softmax(-1)
        expected.append(logits[range(len(ids)), ids].sum())
    prior = model.score_emotions(**heard, normalization="prior")
    torch.testing.assert_close(prior, summed - torch.stack(expected), atol=1e-4, rtol=0)


@torch.no_grad()
def test_prior_of_clips_that_are_asked_different_questions(model, heard):
    prompts = torch.tensor([[0, 30 + row, *[200] * 4, 20 + row] for row in range(4)])
    together = model.score_emotions(**heard, input_ids=prompts, normalization="prior")
    for row in range(4):
        one = {name: tensor[row : row + 1] for name, tensor in heard.items()}
        alone = model.score_emotions(**one, input_ids=prompts[row : row + 1], normalization="prior")
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_configs_normalization_is_the_default(heard):
    model = tiny_model(score_normalization="mean")
    assert torch.equal(model.score_emotions(**heard), model.score_emotions(**heard, normalization="mean"))


@torch.no_grad()
def test_frames_and_tokens_computed_earlier_give_the_same_scores(model, heard):
    scores = model.score_emotions(**heard)
    frames, mask = model.encode_speech(**heard)
    assert torch.equal(model.score_emotions(speech_frames=frames, speech_frames_mask=mask), scores)
    tokens = model.connect_speech(**heard).speech_tokens
    assert torch.equal(model.score_emotions(speech_tokens=tokens), scores)


@torch.no_grad()
def test_candidates_of_ones_own(model, heard):
    own = [[40], [41, 42], [5, 1]]
    scores = model.score_emotions(**heard, candidate_ids=own)
    assert scores.shape == (4, 3)
    torch.testing.assert_close(scores[:, 2], model.score_emotions(**heard)[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"candidate_ids": [[5], []]}, "No candidates to score"),
        ({"normalization": "median"}, "'median' is unknown"),
        ({"attention_mask": torch.tensor([[0, 1]])}, "unpadded prompts"),
        ({"input_ids": torch.tensor([[0, 200, 20]] * 4)}, "4 audio placeholders.*4 tokens"),
        ({"input_ids": torch.tensor([[0, *[200] * 4, 20]])}, "4 clips, but 1 prompts"),
    ],
)
def test_wrong_questions_are_refused(model, heard, arguments, message):
    with pytest.raises(MSERModelError, match=message):
        model.score_emotions(**heard, **arguments)


def test_no_speech_is_refused(model):
    with pytest.raises(MSERModelError, match="No speech: give input_features"):
        model.score_emotions()


# -- padding to 30 s ----------------------------------------------------------------------------------


@torch.no_grad()
def test_padded_form_is_whispers_own(heard):
    model = tiny_model(pad_to_30s=True, speech_layers="last")
    reference = WhisperEncoder(whisper_config()).eval()
    reference.load_state_dict(model.speech_encoder.state_dict())
    sound, mask = features([3000, 3000])
    mask[1, 400:] = 0
    frames, frames_mask = model.encode_speech(sound, mask)
    torch.testing.assert_close(frames[:, 0], reference(sound).last_hidden_state, atol=1e-5, rtol=0)
    assert frames_mask.sum(1).tolist() == [1500, 200]


def test_padded_form_refuses_what_is_not_padded(heard):
    with pytest.raises(SpeechLengthError, match=r"padded to 30 s \(3000 frames\), but got 60"):
        tiny_model(pad_to_30s=True).score_emotions(**heard)


# -- loss ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("family", ["llama3", "gemma"])
def test_loss_is_the_cross_entropy_of_the_answer_alone(family, training, heard):
    model = tiny_model(family)
    model.train(training)
    model.connector.eval()  # without its dropout, which has no reference to compare with
    classes = [1, 2, 0, 5]
    loss = model(**heard, **answered(model, classes)).loss
    scores = naive_scores(model.eval(), heard, model.config.prompt_ids)
    tokens = sum(len(model.config.candidate_ids[index]) for index in classes)
    torch.testing.assert_close(loss, -scores[range(4), classes].sum() / tokens, atol=1e-4, rtol=0)


def test_loss_over_items_of_several_batches(model, heard):
    batch = answered(model, [1, 2, 0, 5])
    alone = model(**heard, **batch).loss
    items = (batch["labels"] != -100).sum()
    torch.testing.assert_close(model(**heard, **batch, num_items_in_batch=4 * items).loss, alone / 4)


def test_while_training_logits_cover_the_answer_alone(heard):
    model = tiny_model().train()
    batch = answered(model, [1, 2, 0, 5])
    longest = max(len(model.config.candidate_ids[index]) for index in [1, 2, 0, 5])
    training = model(**heard, **batch).logits
    assert training.shape[1] == longest + 1
    model.eval()
    whole = model(**heard, **batch).logits
    assert whole.shape[1] == batch["input_ids"].shape[1]
    model.train()
    model.connector.eval()
    torch.testing.assert_close(model(**heard, **batch).logits, whole[:, -longest - 1 :], atol=1e-5, rtol=0)


def test_logits_to_keep(model, heard):
    whole = model(**heard).logits
    torch.testing.assert_close(model(**heard, logits_to_keep=2).logits, whole[:, -2:])


def test_output_names_what_was_heard(model, heard):
    output = model(**heard, output_hidden_states=True, output_attentions=False)
    assert output.speech_embeds.shape == (4, 8)
    assert output.speech_tokens.shape == (4, 4, 24)
    assert len(output.hidden_states) == 3
    as_tuple = model(**heard, return_dict=False)
    assert torch.equal(as_tuple[0], output.logits)


# -- frozen means frozen --------------------------------------------------------------------------------


def frozen(model: MSERForEmotionGeneration) -> None:
    for part in (model.speech_encoder, model.text_model):
        assert not any(parameter.requires_grad for parameter in part.parameters())
        assert not any(module.training for module in part.modules())
    assert all(parameter.requires_grad for parameter in model.connector.parameters())


def test_frozen_from_the_start_and_in_training():
    model = MSERForEmotionGeneration(tiny_config())
    frozen(model)
    assert model.training
    frozen(model.eval())
    frozen(model.train())
    assert model.connector.training
    assert not model.connector.eval().training


@pytest.mark.parametrize("auto", [AutoModel, AutoModelForMultimodalLM])
def test_frozen_by_the_auto_classes(auto):
    made = auto.from_config(tiny_config())
    assert type(made) is MSERForEmotionGeneration
    frozen(made)


def test_frozen_after_loading(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    for cls in (MSERForEmotionGeneration, AutoModel):
        loaded = cls.from_pretrained(tmp_path)
        frozen(loaded)
        frozen(loaded.train())


def test_a_step_moves_the_connector_alone(heard):
    model = tiny_model().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2)
    output = model(**heard, **answered(model, [0, 1, 2, 3]))
    (output.loss + output.speech_embeds[:, 0].sum()).backward()
    optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {f"connector.{name}" for name, _ in model.connector.named_parameters()}


def test_dropout_of_frozen_parts_sleeps_in_training(heard):
    text = llm("llama3").config
    text.attention_dropout = 0.5
    model = tiny_model(text_config=text).train()
    model.connector.eval()
    assert torch.equal(model(**heard).logits, model(**heard).logits)


def test_what_the_config_unfreezes_trains():
    model = MSERForEmotionGeneration(tiny_config(freeze_text=False)).train()
    assert all(parameter.requires_grad for parameter in model.text_model.parameters())
    assert model.text_model.training
    assert not model.speech_encoder.training


# -- memory, types, devices -----------------------------------------------------------------------------


def gradients(model: MSERForEmotionGeneration, heard: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    torch.manual_seed(0)
    output = model(**heard, **answered(model, [0, 1, 2, 3]))
    (output.loss + output.speech_embeds[:, 0].sum()).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_gradient_checkpointing_reaches_the_frozen_llm_and_changes_no_gradient(heard):
    model = tiny_model().train()
    expected = gradients(model, heard)
    calls = []
    inner = model.text_model.model.layers[0].mlp
    inner.register_forward_pre_hook(lambda *_: calls.append(None))
    model.activation_checkpointing_enable()
    found = gradients(model, heard)
    assert len(calls) == 2  # forward, and once more while going back
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-5)
    layers = [m for m in model.text_model.modules() if isinstance(m, GradientCheckpointingLayer)]
    assert not any(module.training for layer in layers for module in layer.children())
    model.activation_checkpointing_disable()
    frozen(model)
    model.activation_checkpointing_enable()
    frozen(model.eval())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_connector_in_float32(tmp_path, heard, dtype):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    for half in (
        MSERForEmotionGeneration.from_pretrained(tmp_path, dtype=dtype),
        AutoModel.from_config(tiny_config(), dtype=dtype),
    ):
        assert {p.dtype for p in half.connector.parameters()} == {torch.float32}
        assert {p.dtype for p in half.speech_encoder.parameters()} == {dtype}
        assert {p.dtype for p in half.text_model.parameters()} == {dtype}
    scores = MSERForEmotionGeneration.from_pretrained(tmp_path, dtype=dtype).score_emotions(**heard)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, model.score_emotions(**heard), atol=1.0, rtol=0.05)


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])  # the second is the old name
def test_the_type_of_the_weights_is_chosen_at_loading(tmp_path, name):
    tiny_model().save_pretrained(tmp_path)
    for dtype, expected in (("auto", torch.float32), ("float16", torch.float16), (torch.bfloat16, torch.bfloat16)):
        assert MSERForEmotionGeneration.from_pretrained(tmp_path, **{name: dtype}).text_model.dtype == expected


@pytest.mark.parametrize("device_map", ["cpu", "auto", {"": "cpu"}])
def test_device_map(tmp_path, heard, device_map):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    placed = MSERForEmotionGeneration.from_pretrained(tmp_path, device_map=device_map)
    torch.testing.assert_close(placed.cpu().score_emotions(**heard), model.score_emotions(**heard), atol=1e-4, rtol=0)
    frozen(placed)


def test_attention_is_chosen_per_part(tmp_path, heard):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    mixed = MSERForEmotionGeneration.from_pretrained(
        tmp_path, attn_implementation={"speech_config": "eager", "text_config": "sdpa"}
    )
    assert mixed.speech_encoder.config._attn_implementation == "eager"
    assert mixed.text_model.config._attn_implementation == "sdpa"
    torch.testing.assert_close(mixed.score_emotions(**heard), model.score_emotions(**heard), atol=1e-4, rtol=0)
    eager = MSERForEmotionGeneration.from_pretrained(tmp_path, attn_implementation="eager")
    assert eager.text_model.config._attn_implementation == "eager"
    torch.testing.assert_close(eager.score_emotions(**heard), model.score_emotions(**heard), atol=1e-4, rtol=0)
