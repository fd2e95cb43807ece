"""The linear layer that turns a network's pooled features into logits."""

from __future__ import annotations

import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.models.adapters.selected_classes import SelectedClasses

__all__ = ["find_classifier"]


def find_classifier(model: nn.Module, num_classes: int) -> nn.Linear:
    """Return the last linear layer with one output per class; for two classes, one with a single output read as (0, z).

    Raises:
        UsageError: when the network has none.

    Example:
        >>> find_classifier(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3)), 3)
        Linear(in_features=4, out_features=3, bias=True)
    """
    if isinstance(model, SelectedClasses):
        return _selected(model)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    fitting = [layer for layer in layers if layer.out_features == num_classes]
    if fitting:
        return fitting[-1]
    single = [layer for layer in layers if layer.out_features == 1]
    if num_classes == 2 and single:
        return _widened(single[-1])
    raise UsageError(f"model {type(model).__name__} has no linear layer with {num_classes} outputs")


def _selected(model: SelectedClasses) -> nn.Linear:
    """Return the classifier of the network inside, with the selected rows only."""
    inner = find_classifier(model.network, model.num_outputs)
    rows = model.order.to(inner.weight.device)
    layer = nn.Linear(inner.in_features, len(rows), device=inner.weight.device, dtype=inner.weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(inner.weight[rows])
        layer.bias.copy_(layer.bias.new_zeros(len(rows)) if inner.bias is None else inner.bias[rows])
    return layer


def _widened(layer: nn.Linear) -> nn.Linear:
    """Return a layer of two outputs, the first of them always 0."""
    wide = nn.Linear(layer.in_features, 2, device=layer.weight.device, dtype=layer.weight.dtype)
    with torch.no_grad():
        wide.weight.zero_()[1] = layer.weight[0]
        wide.bias.zero_()[1] = 0.0 if layer.bias is None else layer.bias[0]
    return wide
