"""The linear layer that turns a network's pooled features into logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.models.adapters.calibrated import Calibrated
from preceptor.models.adapters.selected_classes import SelectedClasses

__all__ = ["classifier_parameters", "find_classifier"]


def find_classifier(model: nn.Module, num_classes: int) -> nn.Linear:
    """Return the last linear layer with one output per class; for two classes, one with a single output read as (0, z).

    Raises:
        UsageError: when the network has none.

    Examples:
        >>> find_classifier(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3)), 3)
        Linear(in_features=4, out_features=3, bias=True)
    """
    if isinstance(model, SelectedClasses | Calibrated):
        return _with(*classifier_parameters(model, num_classes))
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    fitting = [layer for layer in layers if layer.out_features == num_classes]
    if fitting:
        return fitting[-1]
    return _widened(_single(model, num_classes))


def classifier_parameters(model: nn.Module, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return the weight [classes, inputs] and bias [classes] of a network's classifier, through which gradients reach it.

    Raises:
        UsageError: when it has none.
    """
    if isinstance(model, SelectedClasses):
        weight, bias = classifier_parameters(model.network, model.num_outputs)
        rows = model.order.to(weight.device)
        return weight[rows], bias[rows]
    if isinstance(model, Calibrated):
        weight, bias = classifier_parameters(model.network, num_classes)
        return weight / model.temperature, bias / model.temperature
    fitting = [each for each in model.modules() if isinstance(each, nn.Linear) and each.out_features == num_classes]
    layer = fitting[-1] if fitting else _single(model, num_classes)
    bias = layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
    if fitting:
        return layer.weight, bias
    return functional.pad(layer.weight, (0, 0, 1, 0)), functional.pad(bias, (1, 0))  # the logits (0, z)


def _single(model: nn.Module, num_classes: int) -> nn.Linear:
    """Return the last layer with a single output, which does for two classes."""
    single = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.out_features == 1]
    if num_classes != 2 or not single:
        raise UsageError(f"model {type(model).__name__} has no linear layer with {num_classes} outputs")
    return single[-1]


def _with(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a layer of its own with this weight and bias."""
    layer = nn.Linear(weight.shape[1], len(weight), device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def _widened(layer: nn.Linear) -> nn.Linear:
    """Return a layer of two outputs, the first of them always 0."""
    wide = nn.Linear(layer.in_features, 2, device=layer.weight.device, dtype=layer.weight.dtype)
    with torch.no_grad():
        wide.weight.zero_()[1] = layer.weight[0]
        wide.bias.zero_()[1] = 0.0 if layer.bias is None else layer.bias[0]
    return wide
