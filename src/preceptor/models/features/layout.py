"""What a feature's suffixes do to it, and how tokens become maps.

Suffixes stand after a feature's module path, each behind a colon: a number (that member of a tuple), `channels_last` (a map
[batch, height, width, channels]), `14x14` (tokens: the last 196 laid out on that grid), `mean` (over all positions).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial

from torch import Tensor

from preceptor.errors import UsageError

__all__ = ["MOST_PREFIX_TOKENS", "Transform", "as_map", "transform_of"]

MOST_PREFIX_TOKENS = 16  # class tokens and registers

Transform = Callable[[object], object]


def as_map(feature: Tensor) -> Tensor:
    """Return a map [batch, channels, height, width] as it is, and tokens [batch, tokens, dim] laid out on a square grid.

    Up to 16 tokens before the grid (class token, registers) are dropped: 197 = 1 + 14 x 14. Anything else is returned
    unchanged; the suffix `:HxW` of a feature's name lays its tokens out on any grid.

    Examples:
        >>> import torch
        >>> as_map(torch.zeros(2, 197, 384)).shape
        torch.Size([2, 384, 14, 14])
    """
    if feature.ndim != 3:
        return feature
    tokens = feature.shape[1]
    side = math.isqrt(tokens)
    return feature if tokens - side * side > MOST_PREFIX_TOKENS else _on_grid(feature, side, side)


def transform_of(suffix: str, name: str) -> Transform:
    """Return what a suffix does to a module's output.

    Args:
        suffix: one of them, without its colon.
        name: of the feature, for messages.

    Raises:
        UsageError: when there is no such suffix.

    Examples:
        >>> import torch
        >>> transform_of("mean", "layer2:mean")(torch.ones(2, 5, 4, 4)).shape
        torch.Size([2, 5])
    """
    if suffix.isdecimal():
        return partial(_member, int(suffix))
    if grid := re.fullmatch(r"(\d+)x(\d+)", suffix):
        return partial(_lay_out, int(grid[1]), int(grid[2]))
    if suffix not in _TRANSFORMS:
        known = ", ".join(_TRANSFORMS)
        raise UsageError(f"feature {name}: unknown suffix {suffix!r}; there are: input, a number, HxW, {known}")
    return _TRANSFORMS[suffix]


def _on_grid(tokens: Tensor, height: int, width: int) -> Tensor:
    batch, count, dim = tokens.shape
    return tokens[:, count - height * width :].transpose(1, 2).reshape(batch, dim, height, width)


def _member(index: int, value: object) -> object:
    return value[index] if isinstance(value, tuple | list) and index < len(value) else value


def _lay_out(height: int, width: int, value: object) -> object:
    """Lay tokens [batch, tokens, dim] out as a map; those before the grid (class token, registers) are dropped."""
    if not isinstance(value, Tensor) or value.ndim != 3:
        return value
    if value.shape[1] < height * width:
        raise UsageError(f"feature: {value.shape[1]} tokens cannot be laid out on a {height}x{width} grid")
    return _on_grid(value, height, width)


def _channels_first(value: object) -> object:
    return value.permute(0, 3, 1, 2) if isinstance(value, Tensor) and value.ndim == 4 else value


def _mean(value: object) -> object:
    if not isinstance(value, Tensor) or value.ndim < 3:
        return value
    return value.mean(1) if value.ndim == 3 else value.flatten(2).mean(2)


_TRANSFORMS: dict[str, Transform] = {"channels_last": _channels_first, "mean": _mean}
