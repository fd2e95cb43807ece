"""Several processes that train one network, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from started import run

__all__ = [
    "COMMON",
    "ENVIRONMENT",
    "alone",
    "assert_same_run",
    "command",
    "curve",
    "together",
    "torchrun",
    "words",
]

COMMON = ["data=gaussian", "data.samples=6000", "model=mlp", "epochs=3", "batch_size=62", "engine=plain", "seed=3"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(words: Sequence[str], count: int = 2) -> list[str]:
    """Return the command by which the real torchrun starts `words`, a script or -m MODULE with its arguments."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", *words]


def torchrun(words: Sequence[str], count: int = 2) -> subprocess.CompletedProcess[str]:
    """Run `words`, a script or -m preceptor with its arguments, in so many processes, and wait."""
    return run(words[2:] if words[0] == "-m" else words, count)


def words(verb: str, *more: str) -> list[str]:
    """Return the words of a small run."""
    return ["-m", "preceptor", verb, *COMMON, *more]


def alone(verb: str, *more: str) -> None:
    """Run it in one process."""
    run(words(verb, *more)[2:], check=True)


def together(verb: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run it in two."""
    return torchrun(words(verb, *more))


def curve(folder: Path) -> list[dict[str, Any]]:
    """Return the epochs of a run."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_run(one: Path, other: Path, rel: float = 1e-5) -> None:
    """Check that two runs took the same course, to the same network and metrics."""
    for first, second in zip(curve(one), curve(other), strict=True):
        assert second["train"]["loss"] == pytest.approx(first["train"]["loss"], rel=rel)
        assert second["train"]["accuracy"] == pytest.approx(first["train"]["accuracy"], abs=0.01)
        assert second["validation"]["nll"] == pytest.approx(first["validation"]["nll"], rel=rel)
        for name, value in first["train"]["terms"].items():
            assert second["train"]["terms"][name] == pytest.approx(value, rel=10 * rel, abs=1e-7)
    weights, others = (load_file(folder / "model.safetensors") for folder in (one, other))
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, rtol=100 * rel, atol=10 * rel)
    metrics = [json.loads((folder / "result.json").read_text())["test"] for folder in (one, other)]
    assert metrics[1]["samples"] == metrics[0]["samples"]
    assert metrics[1]["nll"] == pytest.approx(metrics[0]["nll"], rel=rel)
