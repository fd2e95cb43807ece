"""A new network of the zoo, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from preceptor.errors import UsageError
from preceptor.models.registry import FROM_DATA, INPUT_SHAPE, find
from preceptor.signature import check_hyperparameters, default_hyperparameters

__all__ = ["checked_options", "create"]


def create(
    name: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    input_shape: Sequence[int] | None = None,
    options: Mapping[str, object] | None = None,
) -> nn.Module:
    """Return a new network of the zoo, which returns logits [batch, num_classes].

    Args:
        name: one of `registry.names()`.
        num_classes: width of the logits, at least 1.
        in_channels: of the images.
        input_shape: of one sample; replaces `in_channels`, and `mlp` needs it for images.
        options: hyperparameters of this network.

    Raises:
        UsageError: for an unknown name or hyperparameter, an invalid value, or vectors for a network for images.

    Examples:
        >>> sum(parameter.numel() for parameter in create("resnet8", num_classes=100).parameters())
        83892
    """
    make = find(name).make
    shape = tuple(input_shape) if input_shape is not None else (in_channels,)
    if num_classes < 1:
        raise UsageError(f"model: {name} cannot have {num_classes} classes")
    if not shape or min(shape) < 1:
        raise UsageError(f"model: {name} cannot take samples of shape {shape}")
    checked = checked_options(name, options or {})
    if INPUT_SHAPE in default_hyperparameters(make):
        of_any_shape: nn.Module = make(num_classes=num_classes, input_shape=shape, **checked)
        return of_any_shape
    if input_shape is not None and len(shape) != 3:
        raise UsageError(f"model: {name} is for images, and the samples have shape {shape}; try mlp")
    network: nn.Module = make(num_classes=num_classes, in_channels=shape[0], **checked)
    return network


def checked_options(name: str, options: Mapping[str, object]) -> dict[str, Any]:
    """Return all hyperparameters of a network: the options, validated, and its defaults.

    Raises:
        UsageError: for an unknown name or hyperparameter, or an invalid value.
    """
    return check_hyperparameters(find(name).make, options, "model", hidden=FROM_DATA)
