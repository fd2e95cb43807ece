"""A network measured on one split of the data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.assessment import Metrics, measure
from preceptor.data import Data, Split, plain_batches
from preceptor.errors import RunError
from preceptor.training import Engine, predict

__all__ = ["predict_split", "score"]


def predict_split(
    network: nn.Module, split: Split, data: Data, engine: Engine, batch_size: int, *, workers: int = 0
) -> Tensor:
    """Return a network's logits for all samples of a split.

    Args:
        network: returns logits.
        split: of the data.
        data: has the normalisation of its inputs.
        engine: on which the network runs.
        batch_size: rows at once, over all processes.
        workers: processes that read ahead.

    Raises:
        RunError: for logits that are not finite.
    """
    batches = plain_batches(
        split,
        data.normalisation,
        batch_size,
        engine.device,
        workers=workers,
        rank=engine.processes.rank,
        world_size=engine.processes.world_size,
    )
    logits = predict(network, batches, engine)
    bad = int((~torch.isfinite(logits).all(1)).sum())
    if bad:
        raise RunError(f"{type(network).__name__}: {bad:,} of {len(logits):,} rows of logits are not finite")
    return logits


def score(
    network: nn.Module, split: Split, data: Data, engine: Engine, batch_size: int, *, workers: int = 0
) -> tuple[Metrics, Tensor]:
    """Return a network's metrics on a split of the data, and its logits there; the arguments are those of `predict_split`."""
    logits = predict_split(network, split, data, engine, batch_size, workers=workers)
    return measure(logits, split.labels, split.truth), logits
