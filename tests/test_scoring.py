"""Scores of all candidates in one pass equal a forward per candidate, for every kind of LLM."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import FAMILIES, llm
from transformers import Lfm2Config, Lfm2ForCausalLM, MistralConfig, MistralForCausalLM

from hf_mser.scoring import log_likelihoods, row_log_likelihoods, takes_tree_mask, tree_log_likelihoods

CANDIDATES = [[5], [6, 7], [6, 8, 9], [10, 11, 12, 13], [5, 14]]


def naive(model: torch.nn.Module, prefix: torch.Tensor, candidates: list[list[int]]) -> torch.Tensor:
    """A full forward for every clip and every candidate, without cache, mask or sharing."""
    scores = torch.zeros(len(prefix), len(candidates))
    for row in range(len(prefix)):
        for column, ids in enumerate(candidates):
            answer = model.get_input_embeddings()(torch.tensor([ids]))
            logits = model(inputs_embeds=torch.cat([prefix[row : row + 1], answer], 1), use_cache=False).logits[0]
            start = prefix.shape[1] - 1
            for step, token in enumerate(ids):
                scores[row, column] += logits[start + step].log_softmax(-1)[token]
    return scores


@pytest.fixture(scope="module")
def models() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    return {family: llm(family).eval() for family in FAMILIES}


@pytest.fixture
def prefix() -> torch.Tensor:
    return torch.randn(3, 11, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_scores_equal_a_forward_per_candidate(models, prefix, family, attention):
    model = models[family]
    model.set_attn_implementation(attention)
    scores = log_likelihoods(model, prefix, CANDIDATES)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, naive(model, prefix, CANDIDATES), atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", ["llama3", "qwen", "smollm"])
@torch.no_grad()
def test_tree_equals_rows(models, prefix, family):
    tree = tree_log_likelihoods(models[family], prefix, CANDIDATES)
    rows = row_log_likelihoods(models[family], prefix, CANDIDATES)
    torch.testing.assert_close(tree, rows, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("candidates", [CANDIDATES, [[5], [6], [7]], [[8, 9, 10]]])
@torch.no_grad()
def test_a_head_that_all_clips_share_changes_nothing(models, prefix, family, candidates):
    prefix[1:, :6] = prefix[:1, :6]
    shared = log_likelihoods(models[family], prefix, candidates, shared_head=6)
    torch.testing.assert_close(shared, log_likelihoods(models[family], prefix, candidates), atol=1e-4, rtol=0)
    torch.testing.assert_close(shared, naive(models[family], prefix, candidates), atol=1e-4, rtol=0)


@torch.no_grad()
def test_one_clip_with_a_head_to_share_is_scored_whole(models, prefix):
    alone = log_likelihoods(models["llama3"], prefix[:1], CANDIDATES, shared_head=6)
    torch.testing.assert_close(alone, naive(models["llama3"], prefix[:1], CANDIDATES), atol=1e-4, rtol=0)


@given(order=st.permutations(range(len(CANDIDATES))))
@settings(max_examples=10, deadline=None)
@torch.no_grad()
def test_permuting_candidates_permutes_scores(models, order):
    prefix = torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(2))
    scores = log_likelihoods(models["llama3"], prefix, CANDIDATES)
    permuted = log_likelihoods(models["llama3"], prefix, [CANDIDATES[index] for index in order])
    torch.testing.assert_close(permuted, scores[:, order], atol=1e-5, rtol=0)


@given(
    candidates=st.lists(st.lists(st.integers(0, 96), min_size=1, max_size=5), min_size=1, max_size=6),
    length=st.integers(1, 12),
)
@settings(max_examples=15, deadline=None)
@torch.no_grad()
def test_any_candidates_behind_any_prefix(models, candidates, length):
    prefix = torch.randn(2, length, 24, generator=torch.Generator().manual_seed(length))
    expected = naive(models["qwen"], prefix, candidates)
    torch.testing.assert_close(log_likelihoods(models["qwen"], prefix, candidates), expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_all_next_tokens_together_are_certain(models, prefix):
    scores = log_likelihoods(models["smollm"], prefix, [[token] for token in range(97)])
    torch.testing.assert_close(scores.logsumexp(-1), torch.zeros(3), atol=1e-5, rtol=0)


@torch.no_grad()
def test_half_precision_scores_come_in_float32_near_the_exact_ones(models, prefix):
    exact = log_likelihoods(models["llama3"], prefix, CANDIDATES)
    half = llm("llama3").eval()
    half.load_state_dict(models["llama3"].state_dict())
    scores = log_likelihoods(half.to(torch.bfloat16), prefix.to(torch.bfloat16), CANDIDATES)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, exact, atol=0.5, rtol=0.05)


def test_a_window_shorter_than_the_sequence_rules_the_tree_out(models):
    assert takes_tree_mask(models["llama3"], 1000)
    assert takes_tree_mask(models["gemma"], 8)
    assert not takes_tree_mask(models["gemma"], 9)


@torch.no_grad()
def test_a_window_without_named_layer_types(prefix):
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = MistralForCausalLM(MistralConfig(vocab_size=97, num_key_value_heads=2, sliding_window=6, **sizes)).eval()
    assert not takes_tree_mask(model, 11)
    expected = naive(model, prefix, CANDIDATES)
    torch.testing.assert_close(log_likelihoods(model, prefix, CANDIDATES), expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_layers_that_remember_without_attention(prefix):
    torch.manual_seed(0)
    config = Lfm2Config(
        vocab_size=97,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention"],
    )
    model = Lfm2ForCausalLM(config).eval()
    assert not takes_tree_mask(model, 11)
    expected = naive(model, prefix, CANDIDATES)
    torch.testing.assert_close(log_likelihoods(model, prefix, CANDIDATES), expected, atol=1e-4, rtol=0)
