"""Networks that return more than their logits in training: a tuple of heads, of which the first is trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.models.adapters.adapted import REFUSALS, Adapted
from preceptor.models.features.observed import observe

__all__ = ["heads_in_training"]


def heads_in_training(model: nn.Module, inputs: Tensor) -> int:
    """Return how many tensors like the logits a network returns in training mode, in a tuple or a mapping; usually 1.

    It runs once without gradients; its mode, its buffers and torch's random numbers are put back.

    Args:
        model: the network.
        inputs: a batch.
    """
    returned: list[object] = []
    network = model.network if isinstance(model, Adapted) else model
    handle = network.register_forward_hook(lambda _module, _args, output: returned.append(output))
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    devices = [inputs.device] if inputs.device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            observe(model, ()).train()(inputs)
    except (*REFUSALS, UsageError):
        return 1  # training will say what is wrong
    finally:
        handle.remove()
        for module, name, buffer, value in buffers:
            module._buffers[name] = buffer.copy_(value)
        for module, mode in modes:
            module.training = mode
    output = returned[-1] if returned else None
    members = [
        *(output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ())
    ]
    heads = [each for each in members if isinstance(each, Tensor) and each.ndim == 2 and each.is_floating_point()]
    return max(1, sum(each.shape == heads[0].shape for each in heads))
