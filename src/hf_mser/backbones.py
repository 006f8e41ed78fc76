"""The frozen parts: where their weights come from, and the proof that they are the right ones.

A connector checkpoint names its backbones by id, revision and fingerprint. The fingerprint covers names,
types, shapes and every byte of the tensors, so it does not depend on how a checkpoint is cut into files.
Only safetensors are read: a pickle can run code.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers.utils.hub import cached_file

from .errors import MSERError
from .packing import unpack

HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "proxies")

# BERT's names -> the names of BLIP-2's Q-Former, which gives the query path its own feed-forward layer.
BERT_TO_QFORMER = (
    ("embeddings.LayerNorm.", "layernorm."),
    (".attention.self.", ".attention.attention."),
    (".intermediate.", ".intermediate_query."),
    (".attention.output.", ".attention.OUTPUT."),  # shields this one from the next rule
    (".output.", ".output_query."),
    (".attention.OUTPUT.", ".attention.output."),
    (".gamma", ".weight"),
    (".beta", ".bias"),
)

# Checkpoints keep PyTorch's old names of a weight's length and direction.
WEIGHT_NORM_NAMES = (
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)


class BackboneError(MSERError, OSError):
    """A backbone is missing, incomplete, or not the one that a checkpoint was trained with."""


def speech_encoder_weights(
    model_id: str | os.PathLike, revision: str | None = None, **hub: Any
) -> tuple[dict[str, torch.Tensor], str | None]:
    """The tensors of a Whisper checkpoint's encoder under the encoder's own names, and the revision found."""
    weights, commit = read_weights(model_id, revision, **hub)
    for prefix in ("model.encoder.", "encoder."):
        encoder = {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
        if encoder:
            return encoder, commit
    raise BackboneError(
        f"{model_id}: no tensor is named 'model.encoder.*' or 'encoder.*', so this is no Whisper checkpoint. "
        f"It holds {_some(weights)}."
    )


def wave_encoder_weights(
    model_id: str | os.PathLike, revision: str | None = None, **hub: Any
) -> tuple[dict[str, torch.Tensor], str | None]:
    """The tensors of a wav2vec 2.0, HuBERT or WavLM under the bare model's names, and the revision found.

    Heads for other tasks are left out.
    """
    weights, commit = read_weights(model_id, revision, **hub)
    landmark = "feature_projection.projection.weight"
    prefix = next((name.removesuffix(landmark) for name in weights if name.endswith(landmark)), None)
    if prefix is None:
        raise BackboneError(
            f"{model_id}: no tensor is named '*{landmark}', so this is no checkpoint of wav2vec 2.0's shape. "
            f"It holds {_some(weights)}."
        )
    parts = tuple(f"{prefix}{part}." for part in ("feature_extractor", "feature_projection", "encoder"))
    own = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(parts)}
    for old, new in WEIGHT_NORM_NAMES:
        own = {name.removesuffix(old) + new if name.endswith(old) else name: tensor for name, tensor in own.items()}
    return own, commit


def qformer_weights(
    model_id: str | os.PathLike, wanted: Mapping[str, torch.Tensor], revision: str | None = None, **hub: Any
) -> dict[str, torch.Tensor]:
    """Those tensors of a BERT checkpoint that a Q-Former with the tensors `wanted` can start from.

    Cross-attention has no counterpart in BERT and stays new; so do layers that BERT has fewer of.
    """
    weights, _ = read_weights(model_id, revision, **hub)
    renamed = {}
    for name, tensor in weights.items():
        name = name.removeprefix("bert.")
        for old, new in BERT_TO_QFORMER:
            name = name.replace(old, new)
        renamed[name] = tensor
    found = {name: tensor for name, tensor in renamed.items() if name in wanted}
    if not found:
        raise BackboneError(f"{model_id}: holds nothing that a Q-Former can start from. It holds {_some(weights)}.")
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            raise BackboneError(
                f"{model_id}: {name} is {tuple(tensor.shape)}, but the Q-Former has {tuple(wanted[name].shape)}. "
                "Give qformer_config the hidden_size and intermediate_size of this BERT."
            )
    return found


def read_weights(
    model_id: str | os.PathLike, revision: str | None = None, **hub: Any
) -> tuple[dict[str, torch.Tensor], str | None]:
    """All tensors of a checkpoint, from a folder or the Hub, and the commit they come from.

    They are memory-mapped, but for matrices that were packed as integers: those are unpacked.
    """
    model_id = os.fspath(model_id)
    quiet = {"revision": revision, "_raise_exceptions_for_missing_entries": False, **hub}
    try:
        index = cached_file(model_id, "model.safetensors.index.json", **quiet)
        if index is None:
            files = [cached_file(model_id, "model.safetensors", **quiet)]
        else:
            names = _files_of(index)
            files = [cached_file(model_id, name, **quiet) for name in names]
    except OSError as error:
        raise BackboneError(f"{model_id} (revision {revision or 'main'}) cannot be fetched: {error}") from error
    if any(file is None for file in files):
        raise BackboneError(
            f"{model_id} (revision {revision or 'main'}) has no complete safetensors weights. Check the name, or "
            "convert the checkpoint: load it with Transformers and call save_pretrained."
        )
    weights: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            weights.update(load_file(file))
        except SafetensorError as error:
            raise BackboneError(f"{file} is damaged ({error}). Fetch the checkpoint again.") from error
    return unpack(weights), _commit_of(files[0])


def _files_of(index: str) -> list[str]:
    try:
        with open(index, encoding="utf-8") as handle:
            return sorted(set(json.load(handle)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackboneError(f"{index} is no index of weights ({error}). Fetch the checkpoint again.") from error


def fingerprint(weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over every tensor's name, type, shape and bytes, in the order of the names.

    Example:
        >>> fingerprint({"a": torch.zeros(2)}) == fingerprint({"a": torch.zeros(2)})
        True
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def verify(part: str, weights: Mapping[str, torch.Tensor], expected: dict[str, Any]) -> None:
    """Raise unless `weights` are the very ones that `expected` (an entry of `config.backbones`) names."""
    found = fingerprint(weights)
    if found != expected["sha256"]:
        raise BackboneError(
            f"The {part} backbone {expected['id']} (revision {expected.get('revision') or 'unpinned'}) differs from "
            f"the one that this connector was trained with: fingerprint {found[:12]}… instead of "
            f"{expected['sha256'][:12]}…. Fetch the original weights, or train the connector again on the new ones."
        )


def checksum(tensors: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """A fast sum over the bits of each tensor on its own device, to see later whether training touched it."""
    return {name: _bit_sum(tensor.detach()) for name, tensor in tensors.items() if tensor.device.type != "meta"}


def _bit_sum(tensor: torch.Tensor) -> int:
    as_integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return int(tensor.contiguous().reshape(-1).view(as_integers).sum(dtype=torch.int64))


def _commit_of(file: str) -> str | None:
    parts = os.path.normpath(file).split(os.sep)
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts else None


def _some(weights: Mapping[str, Any]) -> str:
    return ", ".join(sorted(weights)[:3]) + (", …" if len(weights) > 3 else "")
