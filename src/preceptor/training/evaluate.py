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
            processes = engine.processes
            answers = {
                number: observed(batch.inputs).logits
                for number, batch in enumerate(batches)
                if number % processes.count == processes.rank
            }
    finally:
        network.train(was_training)
    logits = {number: answer.float() for number, answer in answers.items()}
    return _everyone(logits, engine).cpu()


def _everyone(logits: dict[int, Tensor], engine: Engine) -> Tensor:
    """Return the rows of all processes, each of which answered some batches, in the order of the batches."""
    if engine.processes.count == 1:
        return torch.cat([*logits.values()])
    width = torch.tensor(next((part.shape[1] for part in logits.values()), 0), device=engine.device)
    torch.distributed.all_reduce(width, torch.distributed.ReduceOp.MAX)  # a process may have had no batch
    own = torch.cat([*logits.values()]) if logits else torch.zeros(0, int(width), device=engine.device)
    numbers = [torch.full((len(part),), number, device=engine.device) for number, part in logits.items()]
    order = engine.processes.rows(
        torch.cat(numbers) if numbers else torch.zeros(0, dtype=torch.int64, device=engine.device)
    )
    return engine.processes.rows(own)[order.argsort(stable=True)]
