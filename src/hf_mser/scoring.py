"""How likely an LLM finds each of several answers after one shared prefix, in one pass.

Two ways with the same result. `tree_log_likelihoods` lays all candidates side by side behind the prefix and
masks each from the others. `row_log_likelihoods` repeats the cached prefix, one row per candidate, where a
mask cannot say that: for attention kernels that take none, and for layers that forget or slide.
"""

from dataclasses import fields
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel

TREE_ATTENTION = ("eager", "sdpa")
CACHE = "cache" if "cache" in {field.name for field in fields(CausalLMOutputWithPast)} else "past_key_values"
"""What Transformers calls the cache of an LLM: the name has changed in 5.24."""


def log_likelihoods(
    text_model: PreTrainedModel, prefix: torch.Tensor, candidates: list[list[int]], shared_head: int = 0
) -> torch.Tensor:
    """Summed log-probability of every candidate's tokens: (batch, candidates), in float32.

    Args:
        text_model: A causal language model.
        prefix: Its input embeddings (batch, length, width); all rows are real, none is padded.
        candidates: The token ids of each answer.
        shared_head: How many leading positions are the same in all rows. Their keys and values are
            computed once and shared by the batch.
    """
    whole_length = prefix.shape[1] + sum(len(ids) for ids in candidates)
    cache = None
    if shared_head > 1 and prefix.shape[0] > 1:
        cache = _prefill(text_model, prefix[:1, :shared_head])
        _repeat(cache, 1, prefix.shape[0])
        prefix = prefix[:, shared_head:]
    score = tree_log_likelihoods if takes_tree_mask(text_model, whole_length) else row_log_likelihoods
    return score(text_model, prefix, candidates, cache)


def takes_tree_mask(text_model: PreTrainedModel, length: int) -> bool:
    """Whether a custom mask alone decides what each of `length` positions sees.

    Not so in recurrent layers, nor where a sliding window is shorter than the sequence: it counts places in
    the sequence, and candidates that lie side by side would push the prefix out of it.
    """
    config = text_model.config
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"])
    if "sliding_attention" in kinds and window and window < length:
        return False
    return config._attn_implementation in TREE_ATTENTION and kinds <= {"full_attention", "sliding_attention"}


def tree_log_likelihoods(
    text_model: PreTrainedModel, prefix: torch.Tensor, candidates: list[list[int]], cache: Cache | None = None
) -> torch.Tensor:
    """All candidates behind the prefix in one sequence, each seeing the prefix and itself."""
    batch, length, _ = prefix.shape
    past = 0 if cache is None else cache.get_seq_length()
    tree = _tree(tuple(map(tuple, candidates)), length, past, prefix.device)
    leaves = text_model.get_input_embeddings()(tree.read).to(prefix.dtype)
    mask = tree.mask
    if text_model.config._attn_implementation == "eager":
        mask = torch.zeros_like(mask, dtype=prefix.dtype).masked_fill(~mask, torch.finfo(prefix.dtype).min)
    logits = text_model(
        inputs_embeds=torch.cat([prefix, leaves.expand(batch, -1, -1)], dim=1),
        attention_mask=mask.expand(batch, 1, -1, -1),
        position_ids=tree.position_ids.expand(batch, -1),
        use_cache=cache is not None,
        logits_to_keep=_last(len(tree.read) + 1, length + len(tree.read), prefix.device),
        **{CACHE: cache},
    ).logits.float()
    # Picked first, normalised afterwards: the vocabulary is large.
    steps = logits[:, tree.predicted_at, tree.predicted] - logits.logsumexp(-1)[:, tree.predicted_at]
    return steps.new_zeros(batch, len(candidates)).index_add(1, tree.predicted_for, steps)


def row_log_likelihoods(
    text_model: PreTrainedModel, prefix: torch.Tensor, candidates: list[list[int]], cache: Cache | None = None
) -> torch.Tensor:
    """The cached prefix repeated for each candidate: needs no custom mask, costs memory."""
    batch = prefix.shape[0]
    last = _last(1, prefix.shape[1], prefix.device)
    outputs = text_model(inputs_embeds=prefix, use_cache=True, logits_to_keep=last, **{CACHE: cache})
    first = outputs.logits.float().log_softmax(-1)  # (batch, 1, vocabulary)
    longest = max(len(ids) for ids in candidates)
    if longest == 1:
        return first[:, 0, [ids[0] for ids in candidates]]
    cache = getattr(outputs, CACHE)
    past = cache.get_seq_length()
    _repeat(cache, batch, len(candidates))
    # Shorter answers are filled up on the right, where causal attention keeps the filling from being seen.
    rows = torch.tensor([ids[:-1] + [0] * (longest - len(ids)) for ids in candidates], device=prefix.device)
    logits = text_model(
        input_ids=rows.repeat(batch, 1),
        position_ids=torch.arange(past, past + longest - 1, device=prefix.device).expand(batch * len(candidates), -1),
        use_cache=True,
        **{CACHE: cache},
    ).logits.float()
    rest = logits.log_softmax(-1).view(batch, len(candidates), longest - 1, -1)
    return torch.stack(
        [
            first[:, 0, ids[0]] + sum(rest[:, row, step, token] for step, token in enumerate(ids[1:]))
            for row, ids in enumerate(candidates)
        ],
        dim=1,
    )


def _prefill(text_model: PreTrainedModel, embeds: torch.Tensor) -> Any:
    cache = DynamicCache(config=text_model.config)
    nothing = _last(0, embeds.shape[1], embeds.device)
    text_model(inputs_embeds=embeds, use_cache=True, logits_to_keep=nothing, **{CACHE: cache})
    return cache


def _last(count: int, length: int, device: torch.device) -> int | torch.Tensor:
    """The last `count` of `length` positions, as `logits_to_keep` takes them.

    On a CPU by number: a count would become a slice that lies scattered in memory, and the product with the head, which
    is large, would be taken clip by clip. Elsewhere a count, as layers may lie on several devices.
    """
    return torch.arange(length - count, length) if device.type == "cpu" else max(count, 1)


def _repeat(cache: Any, rows: int, times: int) -> None:
    """Every row of the cache, `times` times in a row. Reordering is the way that every kind of layer has."""
    cache.reorder_cache(torch.arange(rows).repeat_interleave(times))


class _Tree(NamedTuple):
    """Where everything lies when candidates branch off behind one prefix."""

    read: torch.Tensor  # tokens that stand behind the prefix, one branch after the other
    position_ids: torch.Tensor  # (1, queries)
    mask: torch.Tensor  # who may look at whom: (1, 1, queries, keys)
    predicted: torch.Tensor  # every token of every candidate,
    predicted_at: torch.Tensor  # the position that predicts it, counted from the prefix's last,
    predicted_for: torch.Tensor  # and its candidate


@lru_cache(maxsize=64)  # a model asks the same question all the time
@torch.inference_mode(False)  # ... in any mode
def _tree(candidates: tuple[tuple[int, ...], ...], length: int, past: int, device: torch.device) -> _Tree:
    # A candidate's last token is predicted but never read, so it needs no position of its own.
    branches = [ids[:-1] for ids in candidates]
    start = past + length
    positions = [*range(past, start), *(start + step for branch in branches for step in range(len(branch)))]
    owners = [-1] * start + [owner for owner, branch in enumerate(branches) for _ in branch]
    branch_of = torch.tensor(owners, device=device)
    keys = torch.arange(len(owners), device=device)
    causal = keys <= keys[past:, None]
    same_branch = (branch_of == -1) | (branch_of == branch_of[past:, None])
    predicted_at, first = [], 1
    for branch in branches:
        predicted_at += [0, *range(first, first + len(branch))]
        first += len(branch)
    return _Tree(
        read=torch.tensor([token for branch in branches for token in branch], dtype=torch.long, device=device),
        position_ids=torch.tensor(positions, device=device)[None],
        mask=(causal & same_branch)[None, None],
        predicted=torch.tensor([token for ids in candidates for token in ids], device=device),
        predicted_at=torch.tensor(predicted_at, device=device),
        predicted_for=torch.tensor([owner for owner, ids in enumerate(candidates) for _ in ids], device=device),
    )
