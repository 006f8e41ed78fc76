"""Prompts and answers, with really trained tokenizers of four families."""

from pathlib import Path

import pytest
from tiny_models import FAMILIES, save_llm
from transformers import AutoTokenizer

from hf_mser import EMOTIONS, MSERConfig
from hf_mser.prompting import AUDIO_TOKEN, PromptError, candidate_ids, prompt_ids, reserve_audio_token

PROMPT = MSERConfig.prompt


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {family: save_llm(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


@pytest.fixture
def tokenizer(folders, request):
    return AutoTokenizer.from_pretrained(folders[request.param])


every_family = pytest.mark.parametrize("tokenizer", FAMILIES, indirect=True)


@pytest.mark.parametrize(
    ("tokenizer", "token"),
    [
        ("llama3", "<|reserved_special_token_0|>"),
        ("qwen", "<|fim_pad|>"),
        ("gemma", "<unused0>"),
    ],
    indirect=["tokenizer"],
)
def test_a_reserved_token_stands_for_speech_and_the_vocabulary_stays(tokenizer, token):
    size = len(tokenizer)
    assert reserve_audio_token(tokenizer) == tokenizer.convert_tokens_to_ids(token)
    assert len(tokenizer) == size


@pytest.mark.parametrize("tokenizer", ["smollm"], indirect=True)
def test_where_none_is_reserved_one_is_added_once_and_travels(tokenizer, tmp_path):
    size, special = len(tokenizer), set(tokenizer.all_special_tokens)
    token_id = reserve_audio_token(tokenizer)
    assert token_id == size
    assert reserve_audio_token(tokenizer) == token_id
    assert set(tokenizer.all_special_tokens) == special | {AUDIO_TOKEN}
    tokenizer.save_pretrained(tmp_path)
    assert reserve_audio_token(AutoTokenizer.from_pretrained(tmp_path)) == token_id


@every_family
def test_the_prompt_is_bos_then_speech_then_words(tokenizer):
    audio = reserve_audio_token(tokenizer)
    ids = prompt_ids(tokenizer, PROMPT, list(EMOTIONS), audio, 5)
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    assert ids[: len(bos) + 5] == bos + [audio] * 5
    words = tokenizer.decode(ids[len(bos) + 5 :])
    assert words == PROMPT.replace("{audio}", "").replace("{labels}", ", ".join(EMOTIONS))
    assert ids.count(audio) == 5


@every_family
def test_words_before_the_speech_stay_before_it(tokenizer):
    audio = reserve_audio_token(tokenizer)
    ids = prompt_ids(tokenizer, "The speaker is {audio} happy", [], audio, 2)
    start = ids.index(audio)
    assert tokenizer.decode(ids[:start], skip_special_tokens=True) == "The speaker is "
    assert tokenizer.decode(ids[start + 2 :]) == " happy"


@every_family
def test_an_answer_is_what_follows_the_prompt_in_one_text_and_then_its_end(tokenizer):
    reserve_audio_token(tokenizer)
    _, after = PROMPT.replace("{labels}", ", ".join(EMOTIONS)).split("{audio}")
    stem = tokenizer.encode(after, add_special_tokens=False)
    for word, ids in zip(EMOTIONS, candidate_ids(tokenizer, PROMPT, list(EMOTIONS)), strict=True):
        assert ids[-1] == tokenizer.eos_token_id
        assert stem + ids[:-1] == tokenizer.encode(f"{after} {word}", add_special_tokens=False)
        assert tokenizer.decode(ids[:-1]) == f" {word}"


@every_family
def test_answers_differ_in_length_and_the_tiny_vocabulary_splits_words(tokenizer):
    lengths = {len(ids) for ids in candidate_ids(tokenizer, PROMPT, list(EMOTIONS))}
    assert len(lengths) > 1
    assert max(lengths) > 2


@every_family
def test_no_answer_is_the_beginning_of_another(tokenizer):
    words = ["sad", "sadness", "happy", "happily"]
    answers = candidate_ids(tokenizer, PROMPT, words)
    for one in answers:
        assert sum(other[: len(one)] == one for other in answers) == 1


@every_family
def test_words_in_any_script(tokenizer):
    words = ["radość", "怒り", "грусть", "😡"]
    answers = candidate_ids(tokenizer, PROMPT, words)
    assert [tokenizer.decode(ids[:-1]).strip() for ids in answers] == words


@pytest.mark.parametrize("tokenizer", ["llama3"], indirect=True)
@pytest.mark.parametrize("words", [["happy", ""], ["  "]])
def test_an_empty_word_is_refused(tokenizer, words):
    with pytest.raises(PromptError, match="A candidate label is empty"):
        candidate_ids(tokenizer, PROMPT, words)


@pytest.mark.parametrize("tokenizer", ["llama3"], indirect=True)
def test_a_word_given_twice_is_refused(tokenizer):
    with pytest.raises(PromptError, match="'happy' is there twice"):
        candidate_ids(tokenizer, PROMPT, ["happy", "sad", "happy"])


@pytest.mark.parametrize("tokenizer", ["llama3"], indirect=True)
def test_the_labels_in_the_prompt_can_be_others_than_the_candidates(tokenizer):
    prompt = "{audio} One of {labels} is the"
    assert candidate_ids(tokenizer, prompt, ["sad"], ["sad", "happy"]) == [
        candidate_ids(tokenizer, prompt, ["sad", "happy"])[0]
    ]


@every_family
def test_a_prompt_that_ends_in_a_space_takes_the_word_alone(tokenizer):
    """The space would merge with the word's own; what was asked and what is scored must fit together."""
    answers = candidate_ids(tokenizer, "{audio} Answer: ", list(EMOTIONS))
    assert [tokenizer.decode(ids[:-1]).strip() for ids in answers] == list(EMOTIONS)
