"""What several tests share: golden vectors, and the closed-form tensors whose losses are tabulated."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"


def closed_form_logits() -> tuple[Tensor, Tensor, Tensor]:
    """Return student logits, teacher logits and labels, 4 x 5, float64: sines and cosines of the indices."""
    i, c = torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing="ij")
    i, c = i.double(), c.double()
    student = 2 * torch.sin(0.7 * i + 1.3 * c + 0.5 * i * c)
    return student, 3 * torch.cos(0.3 * i - 0.9 * c + 0.2 * i * c), torch.arange(4)


def closed_form_map(channels: int, height: int, width: int, phase: float) -> Tensor:
    """Return a map 4 x channels x height x width, float64."""
    b, k, u, v = torch.meshgrid(*(torch.arange(n).double() for n in (4, channels, height, width)), indexing="ij")
    return torch.sin(phase + 0.5 * b + 0.7 * k + 0.3 * u + 0.2 * v + 0.11 * b * k + 0.05 * k * u * v)


def closed_form_vectors(dim: int, phase: float) -> Tensor:
    """Return embeddings 4 x dim, float64."""
    b, k = torch.meshgrid(torch.arange(4).double(), torch.arange(dim).double(), indexing="ij")
    return torch.sin(phase + 0.9 * b + 0.4 * k + 0.3 * b * k)


def assert_golden(key: str, number: int, loss: Callable[..., Tensor]) -> None:
    """Check a loss function's value and gradients against a stored case.

    A list `maps` is stored as map_0, map_1, ..., and `head_logits` as head_logits_0, ...
    """
    with np.load(GOLDEN / f"{key}-{number}.npz", allow_pickle=False) as content:
        stored = {name: content[name] for name in content.files}
    hyperparameters = json.loads(str(stored["kwargs"]))
    given: dict[str, Any] = {}
    inputs: dict[str, Tensor] = {}
    for name in inspect.signature(loss).parameters:
        if name in stored:
            given[name] = torch.from_numpy(stored[name])
            inputs[name] = given[name]
        for one in {name, name.removesuffix("s")}:
            if f"{one}_0" in stored:
                tensors = {k: torch.from_numpy(stored[k]) for k in sorted(stored) if k.startswith(f"{one}_")}
                given[name] = list(tensors.values())
                inputs |= tensors
    for name, value in inputs.items():
        if f"grad_{name}" in stored:
            value.requires_grad_()
    result = loss(**given, **hyperparameters)
    assert result.item() == pytest.approx(float(stored["loss"]), rel=1e-4)
    result.backward()
    for name, value in inputs.items():
        if f"grad_{name}" in stored:
            expected = torch.from_numpy(stored[f"grad_{name}"])
            assert value.grad is not None
            torch.testing.assert_close(
                value.grad.double(), expected, rtol=1e-3, atol=min(1e-6, 1e-3 * expected.abs().max().item())
            )


def softmax_rows(logits: Tensor, temperature: float = 1.0) -> list[list[float]]:
    """Return softmax by plain Python, for slow definitions."""
    rows = []
    for row in logits.tolist():
        top = max(row)
        powers = [math.exp((value - top) / temperature) for value in row]
        rows.append([power / sum(powers) for power in powers])
    return rows


def offer(*names: str) -> dict[str, tuple[int, ...]]:
    """Return features on offer, all of one shape."""
    return dict.fromkeys(names, (4, 8, 8))
