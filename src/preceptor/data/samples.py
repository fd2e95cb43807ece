"""Inputs that come one by one from Python, tensors, arrays or images, as one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from preceptor.data.images.crops import pixels_of
from preceptor.data.images.decoding import upright
from preceptor.errors import UsageError

__all__ = ["stacked"]

_WIDE = (torch.uint16, torch.uint32, torch.uint64)


def stacked(values: Sequence[Any], names: Sequence[str]) -> Tensor:
    """Return inputs as one tensor; PIL images become uint8 [channels, height, width].

    Args:
        values: tensors, arrays or images.
        names: of the samples, in messages.

    Raises:
        UsageError: when they differ in shape or type, or as for `_sample`.
    """
    rows = [_sample(value, name) for value, name in zip(values, names, strict=True)]
    for row, name in zip(rows, names, strict=True):
        if row.shape != rows[0].shape:
            raise UsageError(f"data: {name} has shape {tuple(row.shape)}, {names[0]} has {tuple(rows[0].shape)}")
        if row.dtype != rows[0].dtype:
            raise UsageError(f"data: {name} is of type {row.dtype}, {names[0]} of {rows[0].dtype}")
    return torch.stack(rows)


def _sample(value: Any, name: str) -> Tensor:
    """Return an input as a tensor; a PIL image becomes uint8 [channels, height, width], upright.

    Args:
        value: a tensor, an array or an image.
        name: of the sample, in messages.

    Raises:
        UsageError: for an image with more than 8 bits a channel, whose white and black nobody states.
    """
    advice = "; return uint8, or floats scaled as the networks expect them"
    if not isinstance(value, Image.Image):
        sample = torch.as_tensor(value if isinstance(value, Tensor) else np.array(value))
        if sample.dtype in _WIDE or (
            sample.ndim == 3 and not sample.is_floating_point() and sample.dtype != torch.uint8
        ):
            raise UsageError(f"data: {name} is of type {sample.dtype}, not of 8 bits{advice}")
        return sample
    if value.mode.startswith(("I", "F")):
        raise UsageError(f"data: {name} is an image with more than 8 bits a channel ({value.mode}){advice}")
    image = upright(value)
    return pixels_of(image if image.mode in {"L", "RGB"} else image.convert("RGB"))
