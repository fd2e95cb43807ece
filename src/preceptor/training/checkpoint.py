"""The state of a run on disk: written whole or not at all, read without running code."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.files import write_atomically

__all__ = ["Best", "State", "TrainProgress", "all_finite", "load_state", "save_state"]


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Where a run stands: the next step to take is `batch` (from 0) of `epoch` (from 1)."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Best:
    """The epoch that a selection rule likes most so far (lowest value), and its weights."""

    value: float = math.inf
    epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """Everything that decides how a run goes on; the data order and the views are functions of the position."""

    learner: dict[str, Tensor]
    optimizer: dict[str, Any]
    position: TrainProgress
    metrics: Tensor
    best: Best
    journal_bytes: int
    random: Tensor
    cuda_random: list[Tensor]
    region: tuple[float, int] | None = None
    average: dict[str, Tensor] = field(default_factory=dict)


def save_state(path: Path, state: State) -> None:
    """Write a checkpoint atomically.

    Raises:
        RunError: when the disk refuses; the checkpoint before it is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    position, best = state.position, state.best
    record = {
        "learner": state.learner,
        "optimizer": state.optimizer,
        "position": [position.epoch, position.batch, position.step, position.seconds],
        "tally": state.metrics,
        "best": [best.value, best.epoch, best.weights],
        "journal_bytes": state.journal_bytes,
        "random": state.random,
        "cuda_random": state.cuda_random,
        "region": state.region,
        "average": state.average,
    }
    content = io.BytesIO()  # torch's own writer hides the system's word on a full disk
    torch.save(record, content)
    write_atomically(path, lambda handle: handle.write(content.getbuffer()))


def load_state(path: Path) -> State:
    """Read a checkpoint into memory of the CPU.

    Raises:
        UsageError: when the file is damaged or not one of ours.
    """
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
        record["position"] = TrainProgress(*record["position"])
        record["best"] = Best(*record["best"])
        return State(**record)
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"checkpoint {path}: cannot be read ({str(error).splitlines()[0]})") from error


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether no floating-point entry is NaN or infinite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())
