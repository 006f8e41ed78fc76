"""A random SeamlessM4Tv2 of a few thousand parameters, with its processor, as a checkpoint folder."""

from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    SeamlessM4TFeatureExtractor,
    SeamlessM4TProcessor,
    SeamlessM4TTokenizer,
    SeamlessM4Tv2Config,
    SeamlessM4Tv2Model,
)

LANGUAGES = ("eng", "fra", "deu", "ita", "cmn", "spa")


def save_tiny_seamless(folder: Path) -> Path:
    """Write the checkpoint and return its folder."""
    torch.manual_seed(0)
    vocabulary = 40
    config = SeamlessM4Tv2Config(
        vocab_size=vocabulary,
        t2u_vocab_size=30,
        char_vocab_size=30,
        hidden_size=16,
        max_position_embeddings=64,
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_layers=1,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        speech_encoder_layers=1,
        speech_encoder_attention_heads=2,
        speech_encoder_intermediate_size=16,
        t2u_encoder_layers=1,
        t2u_encoder_ffn_dim=16,
        t2u_encoder_attention_heads=2,
        t2u_decoder_layers=1,
        t2u_decoder_ffn_dim=16,
        t2u_decoder_attention_heads=2,
        t2u_max_position_embeddings=64,
        t2u_variance_predictor_embed_dim=16,
        t2u_variance_predictor_hidden_dim=16,
        unit_hifi_gan_vocab_size=30,
        unit_embed_dim=16,
        lang_embed_dim=8,
        spkr_embed_dim=8,
        vocoder_num_langs=6,
        vocoder_num_spkrs=2,
        upsample_initial_channel=32,
        variance_predictor_kernel_size=3,
    )
    model = SeamlessM4Tv2Model(config)
    codes = {language: 20 + position for position, language in enumerate(LANGUAGES)}
    model.generation_config = GenerationConfig(
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=3,
        max_new_tokens=6,
        text_decoder_lang_to_code_id=codes,
        t2u_lang_code_to_id=codes,
        vocoder_lang_code_to_id={language: position for position, language in enumerate(LANGUAGES)},
        id_to_text={str(number): f"w{number}" for number in range(vocabulary)},
        char_to_id={letter: 4 + position for position, letter in enumerate("w0123456789 ")},
    )
    model.save_pretrained(folder)
    words = {"<pad>": 0, "<unk>": 1, "<s>": 2, "</s>": 3} | {f"w{number}": number for number in range(4, vocabulary)}
    tokenizer = SeamlessM4TTokenizer(vocab=words, merges=[])
    SeamlessM4TProcessor(SeamlessM4TFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder
