"""What a run will cost, by arithmetic: floating-point operations and disk; and how fast this machine works, by a short run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache

import torch

from preceptor.artifacts.create import data_spec, make_network, model_section
from preceptor.config.protocols import fill
from preceptor.config.resolve import make_policy
from preceptor.config.sections import AnyRecipe, DataSection, LabelRecipe, ModelSection, ObjectiveSection, TeachRecipe
from preceptor.data import Data
from preceptor.labels import Encoding
from preceptor.runner.data import load_data
from preceptor.runner.run import run
from preceptor.training import forward_flops

__all__ = ["Cost", "Speed", "cost_of", "cost_of_labels", "measure_speed"]

_BATCHES = 10  # of the short run
_PASSES = 3  # a training step costs three forward passes


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run costs.

    Attributes:
        flops: of all training steps, or of a teacher's forward passes for stored labels.
        bytes: on disk: weights, the checkpoint with the optimiser's state, kept epochs; or labels.
        epochs: that it trains for; of labels, their views.
    """

    flops: float
    bytes: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast this machine works.

    Attributes:
        flops_per_second: of training.
        start_seconds: from the start of a process until the library is imported.
    """

    flops_per_second: float
    start_seconds: float

    def seconds(self, cost: Cost) -> float:
        """Return how long a run of this cost takes."""
        return self.start_seconds + cost.flops / self.flops_per_second


def cost_of(
    recipe: AnyRecipe, teacher: str | ModelSection | None = None, *, stored: bool = False, kept: int = 0
) -> Cost:
    """Return what a run costs. Extra views, banks and connectors of a method are not counted.

    Args:
        recipe: of the run.
        teacher: the network that it learns from, where that is known by name.
        stored: whether it reads the teacher's outputs instead of running it.
        kept: how many epochs' weights it keeps.

    Raises:
        UsageError: for data or networks that cannot be used.
    """
    data = _loaded(recipe.data.model_dump_json())
    of_teacher = 0.0 if teacher is None or stored else _network(model_section(teacher), data)[0]
    of_teacher *= recipe.student_inputs.teacher.passes
    rows = len(data.train)
    if recipe.has_teacher and data.pool is not None:
        rows += len(data.pool)
    flops, parameters = _network(recipe.model, data)
    filled = fill(recipe, data)
    assert filled.epochs is not None
    epochs = make_policy(recipe.inputs)[1].epochs(filled.epochs)
    last = recipe.stop_epoch or epochs
    moments = 2 if filled.optim.name in {"adamw", "dot"} else 1
    best = 0 if recipe.stop_rule is None else 1
    copies = 2 + moments + best + kept  # result, checkpoint with the optimiser's moments and the best weights so far
    return Cost((_PASSES * flops + of_teacher) * rows * last, 4 * parameters * copies, last)


def cost_of_labels(recipe: LabelRecipe, teacher: str | ModelSection | None = None) -> Cost:
    """Return what stored labels cost.

    Args:
        recipe: of the labels.
        teacher: the network that is asked, where that is known by name.

    Raises:
        UsageError: for data or networks that cannot be used.
    """
    data = _loaded(recipe.data.model_dump_json())
    flops = 0.0 if teacher is None else recipe.teacher.passes * _network(model_section(teacher), data)[0]
    size = Encoding(data.num_classes, recipe.dtype, recipe.top).bytes_per_sample
    rows = len(data.train) * recipe.views
    return Cost(flops * rows, size * rows, recipe.views)


def measure_speed(recipe: AnyRecipe, threads: int) -> Speed:
    """Return how fast this machine works: some batches of a recipe's network, trained without its teacher, on its device.

    Args:
        recipe: of a run.
        threads: of the process.

    Raises:
        UsageError: for a recipe that cannot be run.
    """
    data = _loaded(recipe.data.model_dump_json())
    there = len(data.train) + (0 if data.pool is None else len(data.pool))
    rows = min(_BATCHES * (fill(recipe, data).batch_size or 1), there)
    section = recipe.data.model_copy(update={"limit": rows, "test_limit": 64, "labelled_fraction": None})
    with tempfile.TemporaryDirectory() as folder:
        short = TeachRecipe(
            data=section,
            model=recipe.model,
            objective=ObjectiveSection(name="cross_entropy"),
            batch_size=recipe.batch_size,
            epochs=2,  # the second has warmed up
            device=recipe.device,
            engine=recipe.engine,
            precision=recipe.precision,
            out=folder,
        )
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            record = run(short, show=False).record
        finally:
            torch.set_num_threads(before)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import preceptor.cli.verbs"], check=False, capture_output=True)
    start = time.perf_counter() - started
    images = max(row["images_per_second"] for row in record.history)
    return Speed(_PASSES * _network(recipe.model, data)[0] * images, start)


@lru_cache(maxsize=4)
def _loaded(section: str) -> Data:
    return load_data(DataSection.model_validate_json(section))


def _network(section: ModelSection, data: Data) -> tuple[float, int]:
    """Return the operations of a network's forward pass per row, and how many parameters it has."""
    network = make_network(section, data_spec(data))
    sample = data.normalisation(data.train.inputs(torch.tensor([0, 1])))
    return forward_flops(network, sample), sum(parameter.numel() for parameter in network.parameters())
