"""What a run starts from: data, an unlabelled pool, stored labels; named in the recipe or passed from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from preceptor.artifacts.labels import open_labels
from preceptor.config.sections import AnyRecipe
from preceptor.data import Data, Split
from preceptor.distributed import Processes
from preceptor.errors import UsageError
from preceptor.labels import LabelStore
from preceptor.objectives.base import Objective
from preceptor.objectives.weighted import Sum
from preceptor.runner.data import check_labelled, load_data

__all__ = ["NO_OBJECTS", "LoadedInputs", "PythonObjects", "check_rows", "load_inputs"]


@dataclass(frozen=True, slots=True)
class PythonObjects:
    """What was passed from Python as objects instead of names."""

    data: Data | None = None
    model: nn.Module | None = None
    teacher: nn.Module | Sequence[nn.Module] | None = None
    objective: Objective | None = None
    unlabelled: Data | None = None


NO_OBJECTS = PythonObjects()


@dataclass(frozen=True, slots=True)
class LoadedInputs:
    """What a run learns from, besides a live teacher.

    Attributes:
        data: cut and checked.
        pool: samples without labels, or None.
        store: a teacher's outputs, or None.
    """

    data: Data
    pool: Split | None
    store: LabelStore | None


def load_inputs(recipe: AnyRecipe, objects: PythonObjects) -> LoadedInputs:
    """Return the data that a recipe names, or the objects in their place.

    Raises:
        UsageError: for data that cannot be used, or stored labels of other data or another teacher.
    """
    data = load_data(recipe.data) if objects.data is None else check_labelled(objects.data)
    inputs, store = recipe.student_inputs, None
    if inputs.labels is not None:
        store = open_labels(recipe, inputs, objects.teacher, data)
    unlabelled = objects.unlabelled
    if unlabelled is None and inputs.unlabelled is not None:
        unlabelled = load_data(inputs.unlabelled, is_pool=True)
    return LoadedInputs(data, _pool(data, unlabelled) if recipe.has_teacher else None, store)


def _pool(data: Data, unlabelled: Data | None) -> Split | None:
    """Return the samples without labels: the data's own pool, or other data.

    Raises:
        UsageError: when there are two pools, or one of another shape.
    """
    if unlabelled is None:
        return data.pool
    if data.pool is not None:
        raise UsageError("unlabelled: data.labelled_fraction makes a pool already; name one of the two")
    if not unlabelled.train.has_rows:
        raise UsageError(
            "unlabelled: a stream cannot be the samples beside the data; pass a Dataset with a length and rows"
        )
    theirs, ours = (split.inputs(torch.tensor([0])) for split in (unlabelled.train, data.train))
    if tuple(theirs.shape[1:]) != data.input_shape or theirs.dtype != ours.dtype:
        raise UsageError(
            f"unlabelled: {unlabelled.name} has {theirs.dtype} inputs of shape {tuple(theirs.shape[1:])}, data {data.name} "
            f"has {ours.dtype} of {data.input_shape}"
        )
    return unlabelled.train


def check_rows(inputs: LoadedInputs, objective: Sum, processes: Processes) -> None:
    """Check that samples have row numbers where something needs them: memory banks, a pool, several processes.

    Raises:
        UsageError: when they have none.
    """
    if inputs.data.train.has_rows:
        return
    needs = "samples that can be told apart, and those of a stream cannot; pass a Dataset with rows"
    if terms := [name for name, term in objective.named_terms() if term.needs_samples]:
        raise UsageError(f"data: {', '.join(terms)} needs {needs}")
    if inputs.pool is not None:
        raise UsageError(f"unlabelled: a pool beside the data needs {needs}")
    if processes.world_size > 1:
        raise UsageError(f"data: {processes.world_size} processes that share each batch need {needs}")
