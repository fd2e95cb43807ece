"""Before the run: calibrate objectives on the network's outputs, and train stages, each with optimiser, log and checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.resolve import ResolvedRecipe
from preceptor.data import Batches
from preceptor.distributed import gather_step
from preceptor.models import observe
from preceptor.objectives.weighted import Sum
from preceptor.runner.build import RunComponents
from preceptor.training import (
    Callback,
    Learner,
    LearningRate,
    ObjectiveOnlyLearner,
    Plan,
    RateSchedule,
    RunFiles,
    TrainState,
    fit,
    make_optimizer,
    restore,
)
from preceptor.types import Progress, Step

__all__ = ["pretrain"]


def pretrain(
    components: RunComponents,
    loader: Batches,
    resolved: ResolvedRecipe,
    folder: RunFolder,
    identity: Mapping[str, Any],
    callbacks: Sequence[Callback],
    tell: Callable[[str], None],
) -> None:
    """Calibrate the terms on the untrained network's outputs, then train their stages in turn.

    The result stays in the learner: in the student's weights, or in modules that a stage shares with its method. A stage that
    ended before an interruption is restored.
    """
    recipe, engine = resolved.stated, components.engine
    if recipe.resume and (folder.checkpoints / "last.pt").exists():
        return  # the run itself has begun, and its checkpoint includes what the stages trained
    for _, term in components.learner.objective.named_terms():
        term.calibrate(_outputs(components, loader))
    for name, term in components.learner.objective.named_terms():
        stage = term.pretraining()
        if stage is None or stage.epochs == 0:
            continue
        tell(f"stage {name}: {stage.epochs} epochs before the run, training the {stage.trains}")
        objective = Sum(**{name: (1.0, stage.objective)})
        objective.task, objective.num_classes = resolved.objective.task, resolved.objective.num_classes
        kind = Learner if stage.trains == "network" else ObjectiveOnlyLearner
        learner = kind(components.learner.network, engine.place(objective), components.learner.forward_pass)
        settings = recipe.optim if stage.lr is None else recipe.optim.model_copy(update={"lr": stage.lr})
        schedule = RateSchedule(name="step", milestones=stage.milestones, gamma=stage.gamma)
        plan = Plan(
            epochs=stage.epochs,
            last_epoch=stage.epochs,
            learning_rate=LearningRate(settings.lr, schedule),
            checkpoint_every_steps=recipe.checkpoint_every_steps,
        )
        stage_folder = folder.stage(name)
        log = stage_folder.metrics_log(writes=engine.processes.is_first)
        files = RunFiles(stage_folder.checkpoints, log, {**identity, "stage": name})
        optimizer = make_optimizer(settings, learner if stage.trains == "network" else objective, engine.loss_scaler())
        state = TrainState(learner, optimizer, plan, loader.num_batches, engine.processes)
        if recipe.resume:
            restore(state, files, tell=tell)
        fit(state, loader, components.teacher, plan, engine, evaluate=dict, files=files, callbacks=callbacks)


@torch.no_grad()
def _outputs(components: RunComponents, loader: Batches) -> Iterator[Step]:
    """Yield the outputs of a copy of the network, in training mode, and of the teacher for the first epoch's batches."""
    engine, teacher = components.engine, components.teacher
    network = observe(copy.deepcopy(components.learner.network.model), ()).train()  # training mode changes statistics
    for batch in loader.batches(1):
        with engine.autocast():
            outputs = network(batch.inputs)
        its = None if teacher is None else teacher(batch)
        step = Step(batch, outputs, its, network.model, Progress(epoch=1, epochs=1, fraction=0.0))
        yield gather_step(step, processes=engine.processes)
