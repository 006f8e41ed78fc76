"""What frames are filed under: the content of a clip, and everything about an encoder that shapes them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

PROVENANCE = ("_name_or_path", "auto_map")
"""Entries of configs that say where something came from: a copy elsewhere, or a saved model, hears the same."""


def clip_key(audio: Any) -> str:
    """The hash of a clip's content: of its file's bytes, or of its samples and rate.

    Example:
        >>> clip_key({"bytes": b"RIFF", "path": None}) == clip_key({"bytes": b"RIFF", "path": "a.wav"})
        True
    """
    if isinstance(audio, Mapping) and audio.get("bytes") is None and audio.get("path") is not None:
        audio = audio["path"]
    if isinstance(audio, (str, os.PathLike)):
        state = os.stat(audio)
        return _file_key(os.fspath(audio), state.st_mtime_ns, state.st_size)
    if isinstance(audio, Mapping) and audio.get("bytes") is not None:
        content = audio["bytes"]
    else:
        samples = audio.get("array", audio.get("raw")) if isinstance(audio, Mapping) else audio
        rate = audio.get("sampling_rate") if isinstance(audio, Mapping) else None
        array = np.ascontiguousarray(samples)
        content = f"{rate} {array.dtype} {array.shape} ".encode() + array.tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@lru_cache(maxsize=1_000_000)
def _file_key(path: str, modified: int, size: int) -> str:
    """A file is read for its key once, and again when it changes; reading it costs more than a training step."""
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()


def encoder_key(model: Any, processor: Any) -> str:
    """A hash of everything that the frames depend on besides the clip: equal for equal encoders, wherever they lie.

    Example:
        >>> key = encoder_key(model, processor)  # doctest: +SKIP
    """
    digest = hashlib.blake2b(digest_size=16)
    settings = {
        "speech_layers": list(model.config.frozen_layer_indices),
        "frames_per_token": getattr(model.config, "frames_per_token", 1),
        "pad_to_30s": getattr(model.config, "pad_to_30s", False),
        "encoder": _without_provenance(model.config.speech_config.to_dict()),
        "extractor": _without_provenance(processor.feature_extractor.to_dict()),
    }
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.frozen_speech().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _without_provenance(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in PROVENANCE}
