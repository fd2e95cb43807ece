"""One variant in its own process: trains rounds on command and reports their time.

`python -m preceptor.bench.worker JOB VARIANT FOLDER`; reads commands from standard input ("round N", "phases N", "end")
and replies to each with a line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from preceptor.bench.baseline import baseline_steps
from preceptor.bench.job import Job
from preceptor.bench.ours import Trial
from preceptor.training import choose_engine

__all__ = ["main"]


class _End(Exception):
    """The comparison is over."""


class _Rounds:
    """Counts steps, and waits for the next command between rounds."""

    def __init__(self, device: torch.device, phases: Callable[[int], dict[str, float]] | None) -> None:
        self._device = device
        self._phases = phases
        self._left = 1  # the first step, which compiles
        self._began = time.perf_counter()

    def __call__(self) -> None:
        self._left -= 1
        if self._left > 0:
            return
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        reply({"seconds": time.perf_counter() - self._began})
        self._left = self._next_command()
        self._began = time.perf_counter()

    def _next_command(self) -> int:
        for line in sys.stdin:
            command, _, number = line.strip().partition(" ")
            if command == "round":
                return int(number)
            if command == "phases":
                reply(self._phases(int(number)) if self._phases is not None else {})
            else:
                break
        raise _End


def main(arguments: list[str]) -> None:
    """Train one variant on command."""
    job = Job(**{**json.loads(arguments[0]), "variants": ()})
    variant, folder = arguments[1], Path(arguments[2])
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    try:
        if variant == "baseline":
            device = choose_engine(job.device).device
            rounds = _Rounds(device, None)
            for _ in baseline_steps(job, device):
                rounds()
        else:
            trial = Trial(job, variant, folder)
            trial.train(_Rounds(trial.engine.device, trial.phases))
    except _End:
        pass
    reply({"peak_mib": _peak_mib(choose_engine(job.device).device)})


def reply(message: dict[str, Any]) -> None:
    """Print a line of JSON at once."""
    print(json.dumps(message), flush=True)


def _peak_mib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main(sys.argv[1:])
