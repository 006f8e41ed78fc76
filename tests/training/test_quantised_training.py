"""An LLM in 4 bits under a connector in full precision: it trains, and adapters end up in weights that keep them."""

import json

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from hf_mser.modeling_mser import MSERForEmotionGeneration
from hf_mser.training.recipe import parse_recipe
from hf_mser.training.run import build_model, train_recipe

pytest.importorskip("bitsandbytes")


@pytest.fixture
def four_bit(content, backbones, tmp_path) -> dict:
    """The recipe of tones with an LLM whose widths the packed format takes."""
    config = LlamaConfig.from_pretrained(backbones / "text")
    config.hidden_size = config.intermediate_size = 128
    config.num_attention_heads = config.num_key_value_heads = 4
    config.head_dim = 32
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "text")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "text" / name).write_bytes((backbones / "text" / name).read_bytes())
    content["model"] |= {"text": str(tmp_path / "text"), "quantization": "4bit"}
    content["training"] |= {"max_steps": 12, "learning_rate": 3e-3, "report_to": "none", "save_strategy": "no"}
    content["training"] |= {"eval_strategy": "no", "load_best_model_at_end": False}
    return content


def test_only_the_llm_is_quantised(four_bit):
    model, _ = build_model(parse_recipe(four_bit).model)
    kinds = {
        part: {type(module).__name__ for module in getattr(model, part).modules()}
        for part in ("text_model", "connector", "speech_encoder")
    }
    assert "Linear4bit" in kinds["text_model"]
    assert "Linear4bit" not in kinds["connector"] | kinds["speech_encoder"]
    assert model.connector.text_projection.weight.dtype == torch.float32


def test_it_trains_with_adapters_and_saves_a_plain_model_that_holds_them(four_bit, tmp_path):
    four_bit["lora"] = {"text": {"r": 4}}
    train_recipe(parse_recipe(four_bit))
    history = json.loads((tmp_path / "run" / "history.json").read_text(encoding="utf-8"))
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]
    saved = MSERForEmotionGeneration.from_pretrained(tmp_path / "run")
    assert {type(module).__name__ for module in saved.text_model.modules()}.isdisjoint({"Linear4bit"})
    original = LlamaForCausalLM.from_pretrained(tmp_path / "text")
    for number, layer in enumerate(saved.text_model.model.layers):
        before = original.model.layers[number]
        assert not torch.equal(layer.self_attn.q_proj.weight, before.self_attn.q_proj.weight)  # adapted
        assert torch.equal(layer.mlp.up_proj.weight, before.mlp.up_proj.weight)  # as it was, to the bit
