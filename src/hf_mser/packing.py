"""Weights in a quarter of their size: matrices as 8-bit integers, with a scale for each row.

A checkpoint is packed to be small on disk and on its way there. It is unpacked when it is loaded, and computes in
whatever type the model is loaded in.
"""

from collections.abc import Container, Mapping

import torch

SCALE = "_int8_scale"
SMALLEST = 1024
"""Tensors of fewer numbers are kept in half precision: they weigh nothing, and some of them weigh in a lot."""


def pack(weights: Mapping[str, torch.Tensor], exact: Container[str] = ()) -> dict[str, torch.Tensor]:
    """Large matrices as integers from -127 to 127 and one scale per row; all else in half precision.

    What `exact` names is kept as it is: measured quantities, whose small values say as much as the large ones.

    Example:

    ```python
    >>> import torch
    >>> from hf_mser.packing import pack, unpack

    >>> packed = pack({"a.weight": torch.randn(64, 32)})
    >>> sorted(packed), packed["a.weight"].dtype
    (['a.weight', 'a.weight_int8_scale'], torch.int8)
    >>> unpack(packed)["a.weight"].dtype
    torch.float32

    ```"""
    packed = {}
    for name, tensor in weights.items():
        if name in exact or not tensor.is_floating_point():
            packed[name] = tensor
        elif tensor.ndim < 2 or tensor.numel() < SMALLEST:
            packed[name] = tensor.half()
        else:
            rows = tensor.float().flatten(1)
            scale = rows.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
            packed[name] = (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape)
            packed[name + SCALE] = scale
    return packed


def unpack(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights that `pack` was given, nearly; those that were never packed as they are."""
    unpacked = {}
    for name, tensor in weights.items():
        scale = weights.get(name + SCALE)
        if scale is not None:
            unpacked[name] = tensor.float() * scale.view(-1, *[1] * (tensor.ndim - 1))
        elif not name.endswith(SCALE):
            unpacked[name] = tensor
    return unpacked
