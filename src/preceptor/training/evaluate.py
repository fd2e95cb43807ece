"""A network's predictions on one split of a data set."""

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

    With several processes, each predicts its own rows and gets the logits of all rows. All need as many batches: a forward
    pass may need every process.

    Args:
        network: observed, or any module that returns logits.
        batches: plain batches, in order; with several processes, this one's rows (`plain_batches(rank=, world_size=)`).
        engine: device and precision.

    Raises:
        UsageError: when two processes have the same sample.
    """
    was_training = network.training
    network.eval()
    observed = network if isinstance(network, Observed) else observe(network, ())
    logits_by_batch, rows_by_batch = [], []
    try:
        with torch.no_grad(), engine.autocast():
            for batch in batches:
                num_rows = (
                    len(batch.inputs) if batch.share > 0 else 0
                )  # share 0: runs along, its rows are another process's
                logits_by_batch.append(observed(batch.inputs).logits[:num_rows].float())
                rows_by_batch.append(batch.index[:num_rows])
    finally:
        network.train(was_training)
    logits = torch.cat(logits_by_batch)
    if engine.processes.world_size == 1:
        return logits.cpu()
    rows = engine.processes.rows(torch.cat(rows_by_batch))
    if len(rows.unique()) < len(rows):
        raise UsageError(
            f"predict: {engine.processes.world_size} processes have the same samples; pass each its own rows"
        )
    return engine.processes.rows(logits)[rows.argsort()].cpu()
