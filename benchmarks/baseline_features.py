"""Features of the baselines, computed once and kept: openSMILE functionals and pooled Whisper layers.

    python benchmarks/baseline_features.py --data ../shared/corpora/* --kinds egemaps whisper

Kinds: `egemaps` (88 functionals), `whisper` (mean and deviation over time of each of the seven layers, the
encoder run on the true length of the audio), `whisper_padded` (the same on 30 s of padded audio, as the stock
model reads it), `whisper_layer3` (of the third layer alone, each frame normalised as the connector does it; half the
work). Every chunk of clips is a file that appears whole, so a killed run continues where it
stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_mser.audio import load_audio
from hf_mser.evaluation.clips import Clip, read_clips

KINDS = ("egemaps", "whisper", "whisper_padded", "whisper_layer3")
ENCODER = Path(__file__).resolve().parents[2] / "shared" / "weights" / "whisper-base-encoder"
CHUNK = 100

Extractor = Callable[[np.ndarray], np.ndarray]


def features(kind: str, clips: Sequence[Clip], cache: Path, encoder: Path = ENCODER) -> np.ndarray:
    """The features of `clips`, one row a clip, from the cache where it has them."""
    extractor: Extractor | None = None
    chunks = [clips[start : start + CHUNK] for start in range(0, len(clips), CHUNK)]
    arrays = []
    for index, chunk in enumerate(chunks):
        path = _chunk_path(cache, kind, chunk)
        if not path.is_file():
            extractor = extractor or make_extractor(kind, encoder)
            _write(path, np.stack([extractor(_samples(clip)) for clip in chunk]))
            print(f"{kind} {chunk[0].corpus} {index + 1}/{len(chunks)}", file=sys.stderr, flush=True)
        arrays.append(np.load(path))
    return np.concatenate(arrays)


def make_extractor(kind: str, encoder: Path = ENCODER) -> Extractor:
    """The function from samples (16 kHz) to one feature array."""
    if kind == "egemaps":
        return _egemaps()
    if kind == "whisper_layer3":
        return _whisper_layer(encoder, 3)
    return _whisper(encoder, padded=kind == "whisper_padded")


def _egemaps() -> Extractor:
    import opensmile

    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=opensmile.FeatureLevel.Functionals
    )
    return lambda samples: smile.process_signal(samples, 16_000).to_numpy(dtype=np.float32)[0]


def _whisper(folder: Path, padded: bool) -> Extractor:
    """Mean and deviation over time of every hidden state: shape (layers + 1, 2 x width)."""
    import torch
    from transformers import WhisperFeatureExtractor, WhisperModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # the folder holds no decoder, and the decoder is not used
    # 30 s of padding cost ten times as much: bfloat16 there, whose rounding is far below the spread of the
    # frames.
    dtype = torch.bfloat16 if padded else torch.float32
    mel_of = WhisperFeatureExtractor.from_pretrained(folder)
    encoder = WhisperModel.from_pretrained(folder, dtype=dtype).encoder.eval()

    def extract(samples: np.ndarray) -> np.ndarray:
        mel = mel_of(samples, sampling_rate=16_000, padding="max_length" if padded else False, return_tensors="np")
        with torch.inference_mode():
            states = hidden_states(encoder, torch.from_numpy(mel.input_features).to(dtype))
            pooled = [torch.cat([s.float().mean(1), s.float().std(1, unbiased=False)], dim=-1) for s in states]
        return torch.cat(pooled).numpy()

    return extract


def _whisper_layer(folder: Path, number: int) -> Extractor:
    """Mean and deviation over time of one layer's frames, each normalised over its dimensions."""
    import torch
    from transformers import WhisperFeatureExtractor, WhisperModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    mel_of = WhisperFeatureExtractor.from_pretrained(folder)
    encoder = WhisperModel.from_pretrained(folder, dtype=torch.float32).encoder.eval()
    encoder.layers = encoder.layers[:number]
    encoder.layer_norm = torch.nn.LayerNorm(encoder.config.d_model, elementwise_affine=False)

    def extract(samples: np.ndarray) -> np.ndarray:
        mel = mel_of(samples, sampling_rate=16_000, padding=False, return_tensors="np")
        with torch.inference_mode():
            frames = hidden_states(encoder, torch.from_numpy(mel.input_features))[-1][0]
            return torch.cat([frames.mean(0), frames.std(0, unbiased=False)]).numpy()

    return extract


def hidden_states(encoder: Any, mel: Any) -> list[Any]:
    """What `WhisperEncoder` returns as hidden states, for a mel spectrogram of any length."""
    import torch

    hidden = torch.nn.functional.gelu(encoder.conv1(mel))
    hidden = torch.nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    states = [hidden]
    for layer in encoder.layers:
        output = layer(states[-1], None)
        states.append(output[0] if isinstance(output, tuple) else output)
    states[-1] = encoder.layer_norm(states[-1])
    return states


def _samples(clip: Clip) -> np.ndarray:
    return load_audio(clip.audio)


def _chunk_path(cache: Path, kind: str, chunk: Sequence[Clip]) -> Path:
    digest = hashlib.sha256("\n".join(clip.key for clip in chunk).encode()).hexdigest()[:16]
    return cache / kind / f"{chunk[0].corpus}-{digest}.npy"


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    with unfinished.open("wb") as file:
        np.save(file, array)
    os.replace(unfinished, path)


def main() -> int:
    """Fill the cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["egemaps", "whisper"])
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "hf_mser" / "baselines")
    parser.add_argument("--encoder", type=Path, default=ENCODER)
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        start = time.perf_counter()
        rows = sum(
            len(features(kind, read_clips(folder), arguments.cache, arguments.encoder)) for folder in arguments.data
        )
        print(f"{kind}: {rows} clips, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
