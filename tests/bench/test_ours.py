"""This library's loop in the comparison."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from preceptor.bench import Job
from preceptor.bench.ours import Trial, flops_per_image
from preceptor.models import create
from preceptor.training import forward_flops

SMALL = Job("convnet_s", "convnet_s", batch_size=16, num_classes=10, threads=1)


def test_a_training_step_is_counted_as_three_passes() -> None:
    network = create("convnet_s", num_classes=10, input_shape=(3, 32, 32))
    once = forward_flops(network, torch.zeros(2, 3, 32, 32))
    assert flops_per_image(SMALL) == (once, 3 * once)


class Enough(Exception):
    """Raised after the last step of a test."""


def test_training_calls_back_after_each_step_until_that_raises(tmp_path: Path) -> None:
    trial, steps = Trial(SMALL, "plain", tmp_path), []

    def stepped() -> None:
        steps.append(1)
        if len(steps) == 3:
            raise Enough

    with pytest.raises(Enough):
        trial.train(stepped)
    assert len(steps) == 3
