"""The usual research loop."""

from __future__ import annotations

from dataclasses import replace

import torch

from preceptor.bench import Job
from preceptor.bench.baseline import baseline_steps

SMALL = Job("convnet_s", "convnet_s", batch_size=16, num_classes=10, threads=1)


def test_the_usual_loop_learns() -> None:
    torch.manual_seed(0)
    steps = baseline_steps(replace(SMALL, batch_size=64), torch.device("cpu"))
    losses = [next(steps) for _ in range(60)]
    steps.close()
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
