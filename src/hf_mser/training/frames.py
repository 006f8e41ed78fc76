"""The frozen half of the path during training: encode what the cache lacks, and keep it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .features import FrozenFeatureCache

SPEECH_INPUTS = ("input_features", "input_features_mask", "speech_frames", "speech_frames_mask")


def complete_frames(model: Any, batch: dict[str, Any], cache: FrozenFeatureCache | None = None) -> dict[str, Any]:
    """A batch with the frames of every clip: those that came as features are encoded, without gradient.

    Example:
        >>> batch = complete_frames(model, collator(rows), cache)  # doctest: +SKIP
    """
    missing, keys = batch.get("missing_rows"), batch.get("missing_keys")
    rest = {key: value for key, value in batch.items() if not key.startswith("missing_")}
    if "input_features" not in batch:
        return rest
    features, mask = rest.pop("input_features"), rest.pop("input_features_mask", None)
    with torch.no_grad():
        encoded, encoded_mask = model.encode_speech(features, mask)
    if encoded_mask is None:
        encoded_mask = torch.ones(encoded.shape[0], encoded.shape[2], dtype=torch.bool, device=encoded.device)
    if cache is not None and keys is not None:
        lengths = encoded_mask.sum(1).tolist()
        cache.put_many({key: encoded[row, :, : lengths[row]] for row, key in enumerate(keys)})
    frames, frames_mask = rest.pop("speech_frames", None), rest.pop("speech_frames_mask", None)
    if frames is not None and missing is not None:
        encoded, encoded_mask = _merge(frames, frames_mask, encoded, encoded_mask, missing)
    return rest | {"speech_frames": encoded, "speech_frames_mask": encoded_mask}


def _merge(frames: Tensor, mask: Tensor, encoded: Tensor, encoded_mask: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    count, layers, time, width = frames.shape
    longest = max(time, encoded.shape[2])
    merged = encoded.new_zeros(count, layers, longest, width)
    merged_mask = torch.zeros(count, longest, dtype=torch.bool, device=encoded.device)
    merged[:, :, :time], merged_mask[:, :time] = frames.to(encoded), mask
    merged[rows, :, : encoded.shape[2]] = encoded
    merged_mask[rows, : encoded.shape[2]] = encoded_mask
    return merged, merged_mask
