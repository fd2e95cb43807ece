"""What a run shows its networks: the batches of its samples, an unlabelled pool beside them, an input policy over both."""

from __future__ import annotations

import math
from functools import partial

import torch

from preceptor.config.sections import DistillRecipe, InputsSection, Recipe
from preceptor.data import (
    POLICIES,
    Batches,
    Data,
    FixedViews,
    Loader,
    PlainInputs,
    Policy,
    PolicyLoader,
    PooledLoader,
    Split,
    Stream,
    StreamLoader,
    pooled_sizes,
)
from preceptor.distributed import Processes, gather_batch
from preceptor.errors import UsageError
from preceptor.messages import did_you_mean
from preceptor.objectives.weighted import Sum
from preceptor.signature import check_hyperparameters
from preceptor.training import Engine

__all__ = ["check_rows", "left_out", "make_loaders", "make_policy", "pool_of"]


def make_policy(section: InputsSection) -> tuple[InputsSection, Policy]:
    """Return an input policy, and its section with every knob spelled out.

    Raises:
        UsageError: for an unknown name or knob, or a wrong value.
    """
    if section.name not in POLICIES:
        raise UsageError(f"inputs: unknown name {section.name!r}{did_you_mean(section.name, POLICIES)}")
    kind = POLICIES[section.name]
    hyperparameters = check_hyperparameters(kind, section.hyperparameters, "inputs")
    try:
        return InputsSection(name=section.name, **hyperparameters), kind(**hyperparameters)
    except ValueError as error:
        raise UsageError(f"inputs.{error}") from error


def left_out(objective: Sum, policy: Policy, *, is_teacher: bool) -> tuple[str, ...]:
    """Return a line for the user on the terms that cannot be applied to inputs beyond the samples, if there are any.

    Raises:
        UsageError: when no term can be applied to a batch of such inputs.
    """
    if isinstance(policy, PlainInputs):
        return ()
    running = [(name, term) for name, term in objective.named_terms() if name in objective.running]
    idle = [name for name, term in running if term.needs_samples or (term.needs_labels and not is_teacher)]
    why = "which show no sample of the training split" + ("" if is_teacher else " and have no label")
    if policy.replaces_samples and len(idle) == len(running):
        raise UsageError(
            f"inputs: none of the terms {', '.join(idle)} can be applied to inputs beyond the samples, {why}"
            + ("" if is_teacher else "; add one, e.g. method.kd.weight=1")
        )
    return (f"inputs: {', '.join(idle)} cannot be applied to inputs beyond the samples, {why}",) if idle else ()


def check_rows(data: Data, objective: Sum, pool: Split | None, processes: Processes) -> None:
    """Check that samples can be told apart where something needs it: memories of them, a pool, several processes.

    Raises:
        UsageError: when they cannot.
    """
    if data.train.has_rows:
        return
    needs = "samples that can be told apart, and those of a stream cannot; pass a Dataset with rows"
    if memory_banks := [name for name, term in objective.named_terms() if term.needs_samples]:
        raise UsageError(f"data: {', '.join(memory_banks)} needs {needs}")
    if pool is not None:
        raise UsageError(f"unlabelled: a pool beside the data needs {needs}")
    if processes.count > 1:
        raise UsageError(f"data: {processes.count} processes that share each batch need {needs}")


def pool_of(recipe: Recipe, data: Data, given: Data | None) -> Split | None:
    """Return the samples without labels that a student learns from, if there are any.

    Args:
        recipe: whose `unlabelled` section was read into `given`.
        data: may have a pool of its own.
        given: the data set that was named or passed as unlabelled.

    Raises:
        UsageError: when there are two pools, or one of another shape.
    """
    if not isinstance(recipe, DistillRecipe):
        return None
    if given is None:
        return data.pool
    if data.pool is not None:
        raise UsageError("unlabelled: data.labelled_fraction makes a pool already; give one of the two")
    if not given.train.has_rows:
        raise UsageError(
            "unlabelled: a stream cannot be the samples beside the data; pass a Dataset with a length and rows"
        )
    shape, sample = data.input_shape, given.train.inputs(torch.tensor([0]))
    own = data.train.inputs(torch.tensor([0]))
    if tuple(sample.shape[1:]) != shape or sample.dtype != own.dtype:
        raise UsageError(
            f"unlabelled: {given.name} has {sample.dtype} inputs of shape {tuple(sample.shape[1:])}, data {data.name} has "
            f"{own.dtype} of {shape}"
        )
    return given.train


def make_loaders(
    recipe: Recipe,
    data: Data,
    pool: Split | None,
    policy: Policy,
    objective: Sum,
    engine: Engine,
    shown: FixedViews | None = None,
) -> tuple[Batches, PolicyLoader]:
    """Return the batches of the samples themselves, and those batches as the policy shows them.

    Args:
        recipe: resolved.
        data: whose training split is shown.
        pool: samples without labels.
        policy: of the inputs.
        objective: says which further views it wants.
        engine: says where batches live.
        shown: which views, where answers to them were stored.

    Raises:
        UsageError: when views, policy or pool do not go with the data.
    """
    assert recipe.batch_size is not None
    assert recipe.data.view is not None
    policy.check(data.input_shape)
    if data.vocabulary is not None and not isinstance(policy, PlainInputs):
        raise UsageError(
            f"inputs: {recipe.inputs.name} mixes numbers, and those of texts are names of tokens; inputs=real"
        )

    rank, world_size = engine.processes.rank, engine.processes.count

    def loader(split: Split, batch_size: int, first: int = 0) -> Loader:
        """Deal a batch's rows out in turn, of which `first` come before these."""
        assert recipe.data.view is not None
        return Loader(
            split,
            batch_size=batch_size,
            view=recipe.data.view,
            normalisation=data.normalisation,
            seed=recipe.seed,
            device=engine.device,
            extra_views=objective.views(),
            fixed_views=shown,
            workers=recipe.workers,
            rank=(rank - first) % world_size,
            world_size=world_size,
        )

    samples: Batches
    if isinstance(data.train, Stream):
        samples = StreamLoader(
            data.train,
            batch_size=recipe.batch_size,
            view=recipe.data.view,
            normalisation=data.normalisation,
            num_classes=data.num_classes,
            seed=recipe.seed,
            device=engine.device,
            extra_views=objective.views(),
            workers=recipe.workers,
        )
    elif pool is None:
        samples = loader(data.train, recipe.batch_size)
    else:
        assert isinstance(recipe, DistillRecipe)
        sizes = pooled_sizes(data.train, pool, recipe.batch_size, recipe.unlabelled_ratio)
        parts = (loader(data.train, sizes[0]), loader(pool, sizes[1], first=sizes[0]))
        steps = math.ceil((len(data.train) + len(pool)) / recipe.batch_size)
        samples = PooledLoader(*parts, num_batches=steps)
    mixed_labels = 0 if isinstance(recipe, DistillRecipe) else data.num_classes
    return samples, PolicyLoader(
        samples,
        policy,
        mixed_labels,
        gather_batch=partial(gather_batch, processes=engine.processes),
        rank=rank,
        world_size=world_size,
    )
