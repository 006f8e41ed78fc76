"""From words to token ids: the prompt around the speech, and the answers that are scored.

Tokenizers differ in whether they know a beginning and an end, and in how many tokens a word takes. All of
that is settled here, once, when a model is put together; the ids then travel in its config.
"""

from typing import Any

from .errors import MSERError

AUDIO_TOKEN = "<|audio|>"
# Placeholders that tokenizers keep free for purposes such as ours; taking one leaves the vocabulary as it is.
RESERVED_TOKENS = ("<|reserved_special_token_0|>", "<unused0>", "<|extra_0|>", "<|fim_pad|>")


class PromptError(MSERError, ValueError):
    """A prompt or a candidate word cannot be turned into tokens."""


def reserve_audio_token(tokenizer: Any) -> int:
    """The id of the token that stands for speech; it is added to the tokenizer where none is reserved.

    An added id may lie beyond the LLM's embedding table. That is fine: the model never looks it up.
    """
    vocabulary = tokenizer.get_vocab()
    for token in (AUDIO_TOKEN, *RESERVED_TOKENS):
        if token in vocabulary:
            return vocabulary[token]
    tokenizer.add_special_tokens({"additional_special_tokens": [AUDIO_TOKEN]})
    return tokenizer.convert_tokens_to_ids(AUDIO_TOKEN)


def prompt_ids(tokenizer: Any, prompt: str, labels: list[str], audio_token_id: int, num_audio_tokens: int) -> list[int]:
    """`[bos, text before, audio x n, text after]` for a prompt with `{audio}` and, if it likes, `{labels}`."""
    before, after = _fill(prompt, labels)
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return start + _encode(tokenizer, before) + [audio_token_id] * num_audio_tokens + _encode(tokenizer, after)


def candidate_ids(
    tokenizer: Any, prompt: str, candidates: list[str], labels: list[str] | None = None
) -> list[list[int]]:
    """The tokens of each candidate as they follow the prompt, with the end token where the tokenizer has one.

    The end belongs to the answer: without it "sad" would be as likely as everything that starts with it.
    `labels` fills `{labels}` in the prompt; by default the candidates themselves.
    """
    _, after = _fill(prompt, labels or candidates)
    stem = _encode(tokenizer, after)
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    answers = []
    for word in candidates:
        if not word.strip():
            raise PromptError(f"A candidate label is empty: {candidates!r}. Give every label at least one letter.")
        whole = _encode(tokenizer, f"{after} {word}")
        # Merges across the border would make the answer's tokens depend on the prompt's last word.
        follows = whole[len(stem) :] if whole[: len(stem)] == stem else _encode(tokenizer, f" {word}")
        answers.append(follows + end)
    duplicate = next((word for i, word in enumerate(candidates) if answers[i] in answers[:i]), None)
    if duplicate is not None:
        raise PromptError(f"The candidate label {duplicate!r} is there twice, or reads like another: {candidates!r}.")
    return answers


def _fill(prompt: str, labels: list[str]) -> tuple[str, str]:
    before, _, after = prompt.replace("{labels}", ", ".join(labels)).partition("{audio}")
    return before, after


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False)) if text else []
