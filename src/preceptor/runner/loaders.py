"""The batches of a run: its samples, an unlabelled pool beside them, and both after the input policy."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from preceptor.config.resolve import ResolvedRecipe
from preceptor.data import (
    Batches,
    FixedViews,
    Loader,
    LoaderSettings,
    PlainInputs,
    PolicyLoader,
    PooledLoader,
    Split,
    Stream,
    StreamLoader,
    pooled_sizes,
)
from preceptor.distributed import gather_batch
from preceptor.errors import UsageError
from preceptor.runner.load import LoadedInputs
from preceptor.training import Engine

__all__ = ["make_loaders"]


def make_loaders(resolved: ResolvedRecipe, inputs: LoadedInputs, engine: Engine) -> tuple[Batches, PolicyLoader]:
    """Return the batches of the samples, and those batches after the input policy.

    Raises:
        UsageError: when views, policy or pool do not fit the data.
    """
    data, pool, recipe = inputs.data, inputs.pool, resolved.stated
    rank, world_size = engine.processes.rank, engine.processes.world_size
    resolved.policy.check(data.input_shape)
    if data.vocabulary is not None and not isinstance(resolved.policy, PlainInputs):
        raise UsageError(
            f"inputs: {recipe.inputs.name} mixes numbers, and those of texts are names of tokens; inputs=real"
        )
    fixed_views = None
    if inputs.store is not None:
        fixed_views = FixedViews(inputs.store.manifest.source.view_seed, inputs.store.views)

    settings = LoaderSettings(
        batch_size=resolved.batch_size,
        view=resolved.view,
        normalisation=data.normalisation,
        seed=recipe.seed,
        device=engine.device,
        extra_views=resolved.objective.views(),
        fixed_views=fixed_views,
        workers=recipe.workers,
    )

    def loader(split: Split, batch_size: int, first: int = 0) -> Loader:
        """Return the batches of a split: ranks take rows in turn, and `first` rows of the batch come before these."""
        return Loader(
            split,
            replace(settings, batch_size=batch_size),
            rank=(rank - first) % world_size,
            world_size=world_size,
        )

    samples: Batches
    if isinstance(data.train, Stream):
        samples = StreamLoader(data.train, settings, data.num_classes)
    elif pool is None:
        samples = loader(data.train, resolved.batch_size)
    else:
        labelled, unlabelled = pooled_sizes(
            data.train, pool, resolved.batch_size, resolved.student_inputs.unlabelled_ratio
        )
        steps = math.ceil((len(data.train) + len(pool)) / resolved.batch_size)
        samples = PooledLoader(
            loader(data.train, labelled), loader(pool, unlabelled, first=labelled), num_batches=steps
        )
    return samples, PolicyLoader(
        samples,
        resolved.policy,
        0 if recipe.has_teacher else data.num_classes,
        gather_batch=partial(gather_batch, processes=engine.processes),
        rank=rank,
        world_size=world_size,
    )
