"""All variants side by side, each in its own process, with interleaved rounds: a disturbance affects all of them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preceptor.bench.job import Job
from preceptor.bench.ours import flops_per_image
from preceptor.errors import RunError
from preceptor.training import choose_engine

__all__ = ["Comparison", "Measured", "compare"]

_ROUND_SECONDS = 2.0
_PHASE_STEPS = 7


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of one variant.

    Attributes:
        images_per_second: median over rounds.
        iqr: its interquartile range.
        ratio: median over rounds of the speed over the baseline's in the same round; None without it.
        peak_mib: largest memory of the process (of the device, on CUDA), in MiB.
        ceiling_share: floating-point operations per second, as a share of those of a large matrix product.
        first_seconds: until the end of the first step: without imports, with compilation and, if stored, labelling.
        phases: milliseconds per step by phase; empty for the baseline.
        rounds: images per second in each.
    """

    images_per_second: float
    iqr: float
    ratio: float | None
    peak_mib: float
    ceiling_share: float
    first_seconds: float
    phases: dict[str, float] = field(default_factory=dict)
    rounds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A job, its measurements by variant, and the ceiling: FLOP/s of a large matrix product, in the faster of bf16 and fp32."""

    job: Job
    ceiling_flops: float
    ceiling_dtype: str
    measured: dict[str, Measured]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


class _Worker:
    def __init__(self, job: Job, variant: str, folder: str) -> None:
        Path(folder).mkdir()
        self.variant = variant
        self._process = subprocess.Popen(
            [sys.executable, "-m", "preceptor.bench.worker", json.dumps(asdict(job)), variant, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, command: str | None) -> dict[str, Any]:
        """Send a command (None: wait for the first step) and return the reply."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if command is not None:
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                reply: dict[str, Any] = json.loads(line)
                return reply
        assert self._process.stderr is not None
        reason = self._process.stderr.read().strip().splitlines() or ["no message"]
        raise RunError(f"bench: {self.variant} stopped: {reason[-1]}")

    def end(self) -> float:
        """End the process and return its peak memory in MiB."""
        peak: float = self.send("end")["peak_mib"]
        self._process.wait()  # else it would slow down the next variant
        return peak

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.communicate()


def compare(job: Job, report: Callable[[str], None] = lambda line: None) -> Comparison:
    """Measure all variants of a job.

    Args:
        job: what is compared.
        report: called with a line at each stage.

    Raises:
        RunError: when a variant fails, with its last line.
    """
    ceiling, dtype = _ceiling(job)
    teacher_flops, student_flops = flops_per_image(job)
    speeds: dict[str, list[float]] = {variant: [] for variant in job.variants}
    first: dict[str, float] = {}
    phases: dict[str, dict[str, float]] = {}
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        workers: list[_Worker] = []
        try:
            for variant in job.variants:  # one after another: compiling and labelling need the whole machine
                report(f"preparing {variant}")
                workers.append(_Worker(job, variant, f"{folder}/{variant}"))
                first[variant] = workers[-1].send(None)["seconds"]
            steps = {worker.variant: job.steps or _steps(worker) for worker in workers}
            for number in range(job.rounds):
                report(f"round {number + 1} of {job.rounds}")
                for worker in workers:
                    seconds = worker.send(f"round {steps[worker.variant]}")["seconds"]
                    speeds[worker.variant].append(steps[worker.variant] * job.batch_size / seconds)
            for worker in workers:
                report(f"phases of {worker.variant}")
                phases[worker.variant] = worker.send(f"phases {_PHASE_STEPS}")
                peaks[worker.variant] = worker.end()
        finally:
            for worker in workers:
                worker.kill()
    baseline = speeds.get("baseline")
    measured = {}
    for variant, values in speeds.items():
        low, median, high = np.percentile(values, [25, 50, 75]).tolist()
        flops = student_flops + (0.0 if variant in {"stored", "stored_graph"} else teacher_flops)
        ratios = None if baseline is None else [ours / base for ours, base in zip(values, baseline, strict=True)]
        measured[variant] = Measured(
            images_per_second=median,
            iqr=high - low,
            ratio=None if ratios is None else float(np.median(ratios)),
            peak_mib=peaks[variant],
            ceiling_share=median * flops / ceiling,
            first_seconds=first[variant],
            phases=phases[variant],
            rounds=tuple(values),
        )
    return Comparison(job, ceiling, dtype, measured)


def _steps(worker: _Worker) -> int:
    """Warm a worker up, and return the number of steps that take it about two seconds."""
    worker.send("round 2")
    seconds: float = worker.send("round 3")["seconds"]
    return max(2, round(3 * _ROUND_SECONDS / seconds))


def _ceiling(job: Job) -> tuple[float, str]:
    """Return the FLOP/s of a product of two large square matrices, in the faster of bf16 and fp32."""
    device = choose_engine(job.device).device
    side = 8192 if device.type == "cuda" else 2048
    best = (0.0, "")
    for dtype in (torch.bfloat16, torch.float32):
        matrix = torch.ones(side, side, dtype=dtype, device=device)
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            product = matrix @ matrix
            float(product[0, 0])  # waits for the device
            seconds.append(time.perf_counter() - began)
        best = max(best, (2 * side**3 / min(seconds), str(dtype).removeprefix("torch.")))
    return best
