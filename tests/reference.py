"""What the tests of the objectives share: reference vectors, the deterministic inputs of the reference table, and steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from preceptor.types import Batch, Clock, Outputs, Step, View

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Case:
    """One reference vector: tensors by argument name (lists of maps as lists), knobs, value and gradients."""

    inputs: dict[str, Tensor | list[Tensor]]
    knobs: dict[str, Any]
    value: float
    gradients: dict[str, Tensor]


def read_case(path: Path, value: float | None = None, knobs: Mapping[str, Any] | None = None) -> Case:
    """Read an npz; entries called NAME_0, NAME_1, ... make the list argument NAMEs."""
    inputs: dict[str, Tensor | list[Tensor]] = {}
    gradients: dict[str, Tensor] = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            if name in {"kwargs", "loss", "source"}:
                continue
            tensor = torch.from_numpy(file[name])
            stem, _, number = name.rpartition("_")
            if name.startswith("grad_"):
                gradients[name.removeprefix("grad_")] = tensor
            elif number.isdigit():
                levels = inputs.setdefault(f"{stem}s", [])
                assert isinstance(levels, list)
                assert len(levels) == int(number)
                levels.append(tensor)
            else:
                inputs[name] = tensor
        given = json.loads(str(file["kwargs"])) if "kwargs" in file.files else {}
        return Case(inputs, {**given, **(knobs or {})}, float(file["loss"]) if value is None else value, gradients)


def check_case(loss: Callable[..., Tensor], case: Case, dtype: torch.dtype) -> None:
    """Compare value and gradients: 1e-4 relative, and 1e-3 relative + min(1e-6, 1e-3 of the largest entry)."""
    inputs = {name: _as(value, dtype) for name, value in case.inputs.items()}
    leaves = {leaf: tensor.requires_grad_() for leaf, tensor in _leaves(inputs) if leaf in case.gradients}
    assert set(leaves) == set(case.gradients)
    value = loss(**inputs, **case.knobs)
    assert value.dtype == dtype
    assert value.item() == pytest_approx(case.value, 1e-4)
    for (leaf, wanted), got in zip(
        case.gradients.items(), torch.autograd.grad(value, [leaves[leaf] for leaf in case.gradients]), strict=True
    ):
        slack = min(1e-6, 1e-3 * wanted.abs().max().item())
        torch.testing.assert_close(got.double(), wanted, rtol=1e-3, atol=slack, msg=lambda m, leaf=leaf: f"{leaf}: {m}")


def pytest_approx(value: float, relative: float) -> object:
    """Return a number that compares equal within a relative tolerance alone."""
    import pytest

    return pytest.approx(value, rel=relative, abs=0)


def _as(value: Tensor | list[Tensor], dtype: torch.dtype) -> Tensor | list[Tensor]:
    if isinstance(value, list):
        return [level.to(dtype) for level in value]
    return value.to(dtype) if value.is_floating_point() else value


def _leaves(inputs: Mapping[str, Tensor | list[Tensor]]) -> list[tuple[str, Tensor]]:
    found = []
    for name, value in inputs.items():
        if isinstance(value, list):
            found += [(f"{name.removesuffix('s')}_{number}", level) for number, level in enumerate(value)]
        else:
            found.append((name, value))
    return found


# The deterministic inputs of the reference table: 4 samples, 5 classes, labels 0 1 2 3, float64.

LABELS = torch.tensor([0, 1, 2, 3])
_ROW = torch.arange(4, dtype=torch.float64)[:, None]
_CLASS = torch.arange(5, dtype=torch.float64)[None, :]
STUDENT_LOGITS = 2 * torch.sin(0.7 * _ROW + 1.3 * _CLASS + 0.5 * _ROW * _CLASS)
TEACHER_LOGITS = 3 * torch.cos(0.3 * _ROW - 0.9 * _CLASS + 0.2 * _ROW * _CLASS)


def table_map(channels: int, height: int, width: int, phase: float) -> Tensor:
    """Return sin(phase + .5b + .7k + .3u + .2v + .11bk + .05kuv), [4, channels, height, width]."""
    sizes = (4, channels, height, width)
    b, k, u, v = torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in sizes), indexing="ij")
    return torch.sin(phase + 0.5 * b + 0.7 * k + 0.3 * u + 0.2 * v + 0.11 * b * k + 0.05 * k * u * v)


def table_vector(width: int, phase: float) -> Tensor:
    """Return sin(phase + .9b + .4k + .3bk), [4, width]."""
    b, k = torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in (4, width)), indexing="ij")
    return torch.sin(phase + 0.9 * b + 0.4 * k + 0.3 * b * k)


def softmax_by_hand(row: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Return the softmax of one row with plain floats."""
    import math

    weights = [math.exp((value - max(row)) / temperature) for value in row]
    return [weight / sum(weights) for weight in weights]


def make_step(
    student: Outputs,
    teacher: Outputs | None = None,
    *,
    labels: Tensor | None = None,
    index: Tensor | None = None,
    epoch: int = 1,
    epochs: int = 10,
    model: nn.Module | None = None,
) -> Step:
    """Return a step of a run of `epochs` epochs, at the start of `epoch`."""
    rows = torch.arange(len(student.logits), device=student.logits.device)
    batch = Batch(
        inputs=torch.zeros(len(rows), 1, device=rows.device),
        labels=labels,
        index=rows if index is None else index,
        view=View("none", 0, epoch),
    )
    return Step(batch, student, teacher, model or nn.Identity(), Clock(epoch, epochs, (epoch - 1) / epochs))
