"""A tiny model of real parts, and a tiny corpus whose emotions can be heard: tones of different pitch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import LlamaConfig, LlamaForCausalLM, WhisperConfig, WhisperFeatureExtractor, WhisperModel

from hf_mser.modeling_mser import MSERForEmotionGeneration
from hf_mser.processing_mser import MSERProcessor

PITCHES = {"neutral": 200, "happy": 700, "sad": 1500, "angry": 3000}


def _tokenizer(words):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["<unk>", "<s>", "</s>", "<pad>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


@pytest.fixture(scope="session")
def backbones(tmp_path_factory) -> Path:
    """Folders of a Whisper and a LLaMA of a few thousand weights."""
    folder = tmp_path_factory.mktemp("backbones")
    torch.manual_seed(0)
    speech = WhisperConfig(
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=16,
        vocab_size=60000,
    )
    WhisperModel(speech).save_pretrained(folder / "speech")
    WhisperFeatureExtractor(feature_size=16).save_pretrained(folder / "speech")
    text = LlamaConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=32,
        vocab_size=32,
        initializer_range=0.4,  # an untrained LLM whose answers still depend on what it hears
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(text).save_pretrained(folder / "text")
    _tokenizer(["emotion", "?", ":", ",", *PITCHES]).save_pretrained(folder / "text")
    return folder


@pytest.fixture
def make_model(backbones):
    """A function that makes the same untrained model and processor every time."""

    def make(**options):
        torch.manual_seed(0)
        qformer = {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "num_query_tokens": 4,
            "embedding_size": 8,
        }
        model = MSERForEmotionGeneration.from_backbones(
            speech=backbones / "speech",
            text=backbones / "text",
            qformer=None,
            qformer_config={**qformer, **options.pop("qformer_config", {})},
            labels=list(PITCHES),
            prompt="{audio} emotion ? {labels} :",
            **options,
        )
        return model, MSERProcessor.from_backbones(model.config)

    return make


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> list[dict]:
    """Forty short clips, ten of each emotion, five speakers, two languages."""
    folder, random = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    rows = []
    for number in range(40):
        emotion = list(PITCHES)[number % 4]
        seconds = 0.2 + 0.02 * (number % 7)
        time = np.arange(int(seconds * 16_000)) / 16_000
        tone = 0.3 * np.sin(2 * np.pi * PITCHES[emotion] * time) + 0.05 * random.standard_normal(len(time))
        path = folder / f"{number:02d}.wav"
        soundfile.write(path, tone.astype(np.float32), 16_000)
        rows.append(
            {
                "audio": {"path": str(path), "bytes": None},
                "emotion": emotion,
                "speaker": f"s{number % 5}",
                "language": ("en", "de")[number % 2],
                "duration": seconds,
            }
        )
    return rows


@pytest.fixture
def corpus(clips, tmp_path) -> Path:
    """The tones as an audio folder: speakers s0 to s2 train, s3 validates, s4 tests."""
    folder = tmp_path / "tones"
    folder.mkdir()
    splits = {"s0": "train", "s1": "train", "s2": "train", "s3": "validation", "s4": "test"}
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as lines:
        for row in clips:
            path = Path(row["audio"]["path"])
            shutil.copy(path, folder / path.name)
            known = {key: row[key] for key in ("emotion", "speaker", "language", "duration")}
            line = {"file_name": path.name, **known, "split": splits[row["speaker"]], "licence": "CC0-1.0"}
            lines.write(json.dumps(line) + "\n")
    return folder


@pytest.fixture
def content(backbones, corpus, tmp_path) -> dict:
    return {
        "name": "tones",
        "output_dir": str(tmp_path / "run"),
        "model": {
            "speech": str(backbones / "speech"),
            "text": str(backbones / "text"),
            "qformer": None,
            "labels": ["neutral", "happy", "sad", "angry"],
            "qformer_config": {
                "hidden_size": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 32,
                "num_query_tokens": 4,
                "embedding_size": 8,
            },
            "settings": {"prompt": "{audio} emotion ? {labels} :"},
        },
        "data": {
            "train": [{"corpus": str(corpus), "split": "train"}],
            "validation": [{"corpus": str(corpus), "split": "validation"}],
            "test": [{"corpus": str(corpus), "split": "test"}],
        },
        "objective": [{"name": "contrastive"}, {"name": "cross_entropy"}],
        "cache": {"folder": str(tmp_path / "cache"), "max_gigabytes": 0.01},
        "training": {
            "max_steps": 4,
            "eval_strategy": "steps",
            "eval_steps": 2,
            "save_strategy": "steps",
            "save_steps": 2,
            "logging_steps": 1,
            "per_device_train_batch_size": 8,
            "learning_rate": 1e-3,
            "use_cpu": True,
            "report_to": "tensorboard",
            "disable_tqdm": True,
        },
    }
