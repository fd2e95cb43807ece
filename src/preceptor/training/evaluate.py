"""A network's answers on one part of a data set."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.models import logits_of
from preceptor.training.engine import Engine
from preceptor.types import Batch, Outputs

__all__ = ["predict"]


def predict(network: nn.Module, batches: Iterable[Batch], engine: Engine) -> Float[Tensor, "samples classes"]:
    """Return the logits of all batches in order, float32 on the CPU; the network's mode is put back afterwards.

    Args:
        network: returns Outputs, or what `logits_of` finds logits in.
        batches: plain batches, in order.
        engine: device and precision.
    """
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad(), engine.autocast():
            answers = [network(batch.inputs) for batch in batches]
    finally:
        network.train(was_training)
    return torch.cat([(a.logits if isinstance(a, Outputs) else logits_of(a, network)).float().cpu() for a in answers])
