"""A network's answers on one part of a data set."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.models import Observed, observe
from preceptor.training.engine import Engine
from preceptor.types import Batch

__all__ = ["predict"]


def predict(network: nn.Module, batches: Iterable[Batch], engine: Engine) -> Float[Tensor, "samples classes"]:
    """Return the logits of all batches in order, float32 on the CPU; the network's mode is put back afterwards.

    Args:
        network: observed, or any module that returns logits.
        batches: plain batches, in order.
        engine: device and precision.
    """
    was_training = network.training
    network.eval()
    observed = network if isinstance(network, Observed) else observe(network, ())
    try:
        with torch.no_grad(), engine.autocast():
            answers = [observed(batch.inputs).logits for batch in batches]
    finally:
        network.train(was_training)
    return torch.cat([logits.float().cpu() for logits in answers])
