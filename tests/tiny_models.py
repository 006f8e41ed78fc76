"""Tiny random backbones, built like the real ones: a Whisper, a BERT, and LLMs with tokenizers of four families.

Every `save_*` function writes a folder that `from_pretrained` opens, and takes milliseconds.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    BertModel,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from hf_mser import EmotionQFormerConfig, MSERConfig, MSERForEmotionGeneration, MSERProcessor
from hf_mser.emotions import EMOTIONS

RATE = 16_000
FAMILIES = ("llama3", "qwen", "smollm", "gemma")
QFORMER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_query_tokens": 3,
    "embedding_size": 8,
    "num_statistics_tokens": 1,
}
_QFORMER_ALONE = ("num_query_tokens", "embedding_size", "num_statistics_tokens")  # BERT knows nothing of these
# Enough text for the prompt to take words rather than letters, while the rarer emotions take several tokens.
_TEXT = [
    "Which emotion does the speaker express? Answer with one word from this list:",
    "Answer: happy sad, neutral angry. The speaker is happy and the answer is sad.",
] * 4


def whisper_config(mels: int = 80, layers: int = 2, width: int = 16) -> WhisperConfig:
    """A Whisper that hears 30 s, as every Whisper does, but is 16 wide."""
    return WhisperConfig(
        num_mel_bins=mels,
        d_model=width,
        encoder_layers=layers,
        encoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=8,
        vocab_size=16,
        max_target_positions=8,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0),
    )


def save_whisper(folder: Path, mels: int = 80, seed: int = 0) -> Path:
    """A whole Whisper checkpoint with its feature extractor."""
    torch.manual_seed(seed)
    _stir(WhisperModel(whisper_config(mels))).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=mels).save_pretrained(folder)
    return folder


def save_wave_encoder(folder: Path, family: str, stable: bool = False, seed: int = 5) -> Path:
    """A wav2vec 2.0, HuBERT or WavLM, 16 wide, with its feature extractor."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        family,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        conv_dim=(8, 8, 8),
        conv_kernel=(10, 8, 4),
        conv_stride=(5, 8, 8),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        vocab_size=8,
        do_stable_layer_norm=stable,
        feat_extract_norm="layer" if stable else "group",
    )
    _stir(AutoModel.from_config(config)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def save_bert(folder: Path, seed: int = 1) -> Path:
    """A BERT of the Q-Former's size."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=20,
        max_position_embeddings=8,
        **{name: QFORMER[name] for name in QFORMER if name not in _QFORMER_ALONE},
    )
    _stir(BertModel(config)).save_pretrained(folder)
    return folder


def save_llm(folder: Path, family: str, seed: int = 2) -> Path:
    """A causal language model of a family, with a tokenizer that was really trained."""
    tokenizer = {"gemma": _sentencepiece_tokenizer}.get(family, _byte_level_tokenizer)(family)
    torch.manual_seed(seed)
    llm(family, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def llm(family: str, vocabulary: int = 97, **changes: Any) -> PreTrainedModel:
    """A causal language model alone; `changes` go into its config."""
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": None,
        **changes,
    }
    if family == "llama3":
        return _stir(
            LlamaForCausalLM(LlamaConfig(**sizes, rope_parameters={"rope_theta": 5e5, "rope_type": "default"}))
        )
    if family == "qwen":
        return _stir(Qwen2ForCausalLM(Qwen2Config(**{**sizes, "bos_token_id": None})))
    if family == "smollm":
        return _stir(LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=True)))
    # The window is shorter than the prompt, and each kind of layer is there.
    sizes = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"], "head_dim": 8, **sizes}
    return _stir(Gemma3ForCausalLM(Gemma3TextConfig(**sizes)))


def tiny_config(family: str = "llama3", **settings: Any) -> MSERConfig:
    """A whole model's config, with made-up tokens for prompt and labels."""
    settings = {
        "speech_config": whisper_config(),
        "qformer_config": EmotionQFormerConfig(**{**QFORMER, **settings.pop("qformer", {})}),
        "text_config": llm(family).config,
        "audio_token_id": 200,
        "candidate_ids": [[5, 1], [6, 7, 1], [6, 8, 9, 1], [10, 1], [11, 1], [12, 13, 1], [14, 1]],
        **settings,
    }
    config = MSERConfig(**settings)
    if config.prompt_ids is None:
        config.prompt_ids = [0, *[200] * config.qformer_config.num_speech_tokens, 20, 21, 22]
    return config


def tiny_model(family: str = "llama3", seed: int = 0, **settings: Any) -> MSERForEmotionGeneration:
    """A whole random model in evaluation mode, without files behind it."""
    torch.manual_seed(seed)
    return _stir(MSERForEmotionGeneration(tiny_config(family, **settings)).eval())


def put_together(folder: Path, family: str = "llama3", mels: int = 80, **settings: Any) -> Any:
    """Backbones in `folder`, and the model and processor made from them."""
    model = MSERForEmotionGeneration.from_backbones(
        save_whisper(folder / "whisper", mels),
        save_llm(folder / family, family),
        save_bert(folder / "bert"),
        qformer_config={name: QFORMER[name] for name in _QFORMER_ALONE},
        **settings,
    )
    return model, MSERProcessor.from_backbones(model.config)


def tone(seconds: float, pitch: float = 220.0, seed: int = 0) -> np.ndarray:
    """A voice-like clip: a swelling tone with noise, 16 kHz."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(size=time.size)
    return (0.3 * np.sin(2 * np.pi * pitch * time) * np.sin(3 * time) ** 2 + 0.02 * noise).astype(np.float32)


def features(lengths: list[int], mels: int = 80, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random log-mel features of clips with `lengths` frames, with arbitrary numbers behind the shorter ones' ends."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn(len(lengths), mels, max(lengths), generator=generator)
    return frames, (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


def _stir(model: torch.nn.Module) -> Any:
    """Larger weights than a fresh model has, so that what it hears makes a difference to what it says."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn_like(parameter) * 0.25)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


_SPECIAL = {
    "llama3": {
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|end_of_text|>",
        "others": ["<|reserved_special_token_0|>", "<|reserved_special_token_1|>"],
    },
    "qwen": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "others": ["<|fim_pad|>"]},
    "smollm": {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>", "others": []},
    "gemma": {
        "pad_token": "<pad>",
        "eos_token": "<eos>",
        "bos_token": "<bos>",
        "unk_token": "<unk>",
        "others": ["<unused0>"],
    },
}


def _byte_level_tokenizer(family: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return _train(tokenizer, family, pre_tokenizers.ByteLevel.alphabet())


def _sentencepiece_tokenizer(family: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return _train(tokenizer, family, [f"<0x{byte:02X}>" for byte in range(256)])


def _train(tokenizer: Tokenizer, family: str, alphabet: list[str]) -> PreTrainedTokenizerFast:
    names = dict(_SPECIAL[family])
    others = names.pop("others")
    special = list(dict.fromkeys([*names.values(), *others]))
    if family == "gemma":  # bytes are whole tokens there, not letters of an alphabet
        trainer = trainers.BpeTrainer(vocab_size=360, special_tokens=[*special, *alphabet])
    else:
        trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(_TEXT, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    if "bos_token" in names and family != "smollm":
        bos = names["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's content."""
    return json.loads(path.read_text(encoding="utf-8"))


__all__ = [name for name in dir() if not name.startswith("_")] + ["EMOTIONS"]
