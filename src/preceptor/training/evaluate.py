"""A network's answers on one part of a data set."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.models import Observed, observe
from preceptor.training.engine import Engine
from preceptor.types import Batch

__all__ = ["predict"]


def predict(network: nn.Module, batches: Iterable[Batch], engine: Engine) -> Float[Tensor, "samples classes"]:
    """Return the logits of all batches in order, float32 on the CPU; the network's mode is put back afterwards.

    Of several processes each asks about its own batches, all about as many, for a forward pass may need all processes; all get
    everybody's logits.

    Args:
        network: observed, or any module that returns logits.
        batches: plain batches, in order; with several processes, this one's rows of them (`plain_batches(rank=, world_size=)`).
        engine: device and precision.

    Raises:
        UsageError: when two processes were asked about the same sample.
    """
    was_training = network.training
    network.eval()
    observed = network if isinstance(network, Observed) else observe(network, ())
    logits, rows = [], []
    try:
        with torch.no_grad(), engine.autocast():
            for batch in batches:
                counted = len(batch.inputs) if batch.share > 0 else 0
                logits.append(observed(batch.inputs).logits[:counted])
                rows.append(batch.index[:counted])
    finally:
        network.train(was_training)
    found = torch.cat([part.float() for part in logits])
    if engine.processes.world_size == 1:
        return found.cpu()
    order = engine.processes.rows(torch.cat(rows))
    if len(order.unique()) < len(order):
        raise UsageError(
            f"predict: {engine.processes.world_size} processes were given the same samples; give each its part"
        )
    return engine.processes.rows(found)[order.argsort()].cpu()
