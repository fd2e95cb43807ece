"""What objectives do before the run proper: look at the network, and train stages with optimiser, record and checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import torch

from preceptor.artifacts.run_folder import RunFolder
from preceptor.data import Batches
from preceptor.distributed import gather_step
from preceptor.models import observe
from preceptor.objectives.weighted import Sum
from preceptor.runner.build import RunComponents
from preceptor.training import (
    Callback,
    Engine,
    Learner,
    LearningRate,
    ObjectiveOnlyLearner,
    OptimizerSettings,
    Plan,
    fit,
)
from preceptor.types import Progress, Step

__all__ = ["run_stages"]


def run_stages(
    parts: RunComponents,
    *,
    loader: Batches,
    optimizer: OptimizerSettings,
    engine: Engine,
    folder: RunFolder,
    record: RunFolder,
    callback: Callback,
    checkpoint_every_steps: int,
    resume: bool,
) -> None:
    """Show the terms what the network says before its first step, and train what they have to prepare, one after another.

    What comes out stays in the learner: in the student's weights, or in modules that a stage shares with its method.
    A stage that had ended before an interruption is restored, not trained again.
    """
    if resume and (folder.checkpoints / "last.pt").exists():
        return  # the run proper has begun, and its checkpoint holds what the stages gave
    for _, term in parts.learner.objective.named_terms():
        term.calibrate(_answers(parts.learner, loader, engine))
    for name, term in parts.learner.objective.named_terms():
        stage = term.pretraining()
        if stage is None or stage.epochs == 0:
            continue
        callback.note(f"stage {name}: {stage.epochs} epochs before the run, training the {stage.trains}")
        objective = Sum(**{name: (1.0, stage.objective)})
        objective.task, objective.num_classes = parts.learner.objective.task, parts.learner.objective.num_classes
        kind = Learner if stage.trains == "network" else ObjectiveOnlyLearner
        learner = kind(parts.learner.network, engine.place(objective), parts.learner.forward_pass)
        settings = optimizer if stage.lr is None else replace(optimizer, lr=stage.lr)
        fit(
            learner,
            loader=loader,
            teacher=parts.source,
            optimizer=settings.make(learner if stage.trains == "network" else objective),
            plan=Plan(
                epochs=stage.epochs,
                last_epoch=stage.epochs,
                learning_rate=LearningRate(settings.lr, "step", stage.milestones, stage.gamma),
                checkpoint_every_steps=checkpoint_every_steps,
            ),
            engine=engine,
            evaluate=dict,
            metrics_log=record.stage(name),
            callback=callback,
            checkpoints=folder.stage(name).checkpoints,
            resume=resume,
        )


@torch.no_grad()
def _answers(learner: Learner, loader: Batches, engine: Engine) -> Iterator[Step]:
    """Yield what the network says in training mode of the first epoch's batches, to all processes; it stays as it is."""
    network = observe(copy.deepcopy(learner.network.model), ()).train()  # in this mode statistics change
    for batch in loader.batches(1):
        with engine.autocast():
            outputs = network(batch.inputs)
        step = Step(batch, outputs, None, network.model, Progress(epoch=1, epochs=1, fraction=0.0))
        yield gather_step(step, processes=engine.processes)
