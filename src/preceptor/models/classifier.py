"""The linear layer that turns a network's pooled features into logits."""

from __future__ import annotations

from torch import nn

from preceptor.errors import UsageError

__all__ = ["find_classifier"]


def find_classifier(model: nn.Module, num_classes: int) -> nn.Linear:
    """Return the last linear layer with one output a class.

    Raises:
        UsageError: when the network has none.

    Example:
        >>> find_classifier(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3)), 3)
        Linear(in_features=4, out_features=3, bias=True)
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.out_features == num_classes]
    if not layers:
        raise UsageError(f"model {type(model).__name__} has no linear layer with {num_classes} outputs")
    return layers[-1]
