"""Frozen networks made cheaper to run: each batch-norm folded into the convolution before it, weights kept in half precision."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from preceptor.models.features.observed import Observed
from preceptor.types import Outputs

__all__ = ["folded"]

_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
_TOLERANCE = 1e-3  # of the largest entry: in float32 folding moves outputs by about 1e-6


def folded(network: Observed, inputs: Tensor, *, half: torch.dtype | None = None) -> Observed:
    """Return a copy of a frozen network that gives the same outputs with fewer operations, or the network if none can be saved.

    A batch-norm is folded where its input comes from a convolution and goes nowhere else. Nothing is assumed of the network's
    code: which operation reads which tensor is seen in a forward pass, and the copy's outputs are compared with the network's.

    Args:
        network: in eval mode, on the device; is not changed.
        inputs: a few rows.
        half: the type that autocast computes in, where the network runs under it: weights that it would cast at each pass are
            then cast once.
    """
    try:
        return _folded(network, inputs, half)
    except Exception:  # an operation without a gradient, a module that cannot be copied: the network itself still runs
        return network


def _folded(network: Observed, inputs: Tensor, half: torch.dtype | None) -> Observed:
    same = copy.deepcopy(network).requires_grad_(True)
    with torch.autocast(inputs.device.type, enabled=False):
        pairs = _foldable(same, inputs)
        for convolution, norm in pairs:
            fused = fuse_conv_bn_eval(convolution, norm)
            convolution.weight, convolution.bias = fused.weight, fused.bias
        norms = {id(norm) for _, norm in pairs}
        for parent in [*same.modules()]:
            for name, child in [*parent.named_children()]:
                if id(child) in norms:
                    setattr(parent, name, nn.Identity())
        same.requires_grad_(False).eval()
        is_equal = _near(network(inputs), same(inputs))
    if half is not None and is_equal:
        for module in same.modules():
            if type(module) in {nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear}:
                module.to(half)
        with torch.autocast(inputs.device.type, dtype=half):
            same(inputs)  # raises where code of its own reads a weight outside autocast
    return same if is_equal else network


def _foldable(network: Observed, inputs: Tensor) -> list[tuple[_Convolution, _BatchNorm]]:
    """Return each convolution whose output one batch-norm reads, and nothing else."""
    made_by: dict[Node, nn.Module] = {}
    read_by: dict[Node, nn.Module] = {}
    calls: Counter[nn.Module] = Counter()

    def look(module: nn.Module, _: object, output: object) -> None:
        node = output.grad_fn if isinstance(output, Tensor) else None
        calls[module] += 1
        if node is None:
            return
        if isinstance(module, _BatchNorm) and node.next_functions[0][0] is not None:
            read_by[node.next_functions[0][0]] = module
        elif isinstance(module, _Convolution):
            made_by[node] = module

    candidates = [module for module in network.modules() if isinstance(module, _BatchNorm | _Convolution)]
    unobserved = [m for m in candidates if not m._forward_hooks and not m._forward_pre_hooks]
    handles = [module.register_forward_hook(look) for module in unobserved]
    with torch.enable_grad():
        outputs = network(inputs)
    for handle in handles:
        handle.remove()
    readers = _readers([outputs.logits, *outputs.features.values()])
    return [
        (convolution, norm)
        for node, norm in read_by.items()
        if isinstance(convolution := made_by.get(node), _Convolution)
        and isinstance(norm, _BatchNorm)
        and norm.running_var is not None
        and calls[convolution] == calls[norm] == readers[node] == 1
    ]


def _readers(outputs: list[Tensor]) -> Counter[Node]:
    """Return how often the result of each node is read; being an output counts, too."""
    readers = Counter(output.grad_fn for output in outputs if output.grad_fn is not None)
    to_visit = [*readers]
    while to_visit:
        for node, _ in to_visit.pop().next_functions:
            if node is not None:
                readers[node] += 1
                if readers[node] == 1:
                    to_visit.append(node)
    return readers


def _near(one: Outputs, other: Outputs) -> bool:
    pairs = [(one.logits, other.logits), *((one.features[name], other.features[name]) for name in one.features)]
    return all(bool((a - b).abs().max() <= _TOLERANCE * a.abs().max()) for a, b in pairs)
