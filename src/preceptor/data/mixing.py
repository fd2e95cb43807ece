"""Input policies: where the teacher is asked. A pure function of a batch and its keys, applied before both networks.

A mixed batch has no labels: methods that need them cannot be used with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from preceptor.data.views import draws
from preceptor.types import Batch

__all__ = ["POLICIES", "Policy", "mixup", "real"]

_MIXING = 2  # the stream of random numbers

Policy = Callable[[Batch, int], Batch]  # (batch, its number in the epoch) -> batch


def real(batch: Batch, number: int) -> Batch:
    """Return the batch as it is."""
    return batch


def mixup(batch: Batch, number: int) -> Batch:
    """Return weight x + (1 - weight) x', x' being the next row: one weight a batch, max(u, 1 - u) with u uniform.

    Source: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup" (ICLR 2018), in the form of Beyer, Zhai, Royer, Markeeva, Anil,
    Kolesnikov, "Knowledge distillation: A good teacher is patient and consistent" (CVPR 2022, arXiv 2106.05237).
    """
    key = torch.tensor([number], device=batch.index.device)
    uniform = draws(batch.view.seed, batch.view.epoch, key, stream=_MIXING)[0, 0].to(batch.inputs.dtype) / 2**32
    weight = torch.maximum(uniform, 1 - uniform)
    further = {name: torch.lerp(inputs.roll(1, 0), inputs, weight) for name, inputs in batch.further.items()}
    inputs = torch.lerp(batch.inputs.roll(1, 0), batch.inputs, weight)
    return replace(batch, inputs=inputs, labels=None, further=further)


POLICIES: dict[str, Policy] = {"real": real, "mixup": mixup}
