"""What methods have to train before the run proper: each stage has its own optimiser, record and checkpoint."""

from __future__ import annotations

from dataclasses import replace

from preceptor.data import Loader
from preceptor.objectives.base import Sum
from preceptor.recipes.assemble import Parts
from preceptor.runs import RunFolder
from preceptor.training import Bystander, Engine, Learner, LearningRate, OptimizerSettings, Plan, Watcher, fit

__all__ = ["run_stages"]


def run_stages(
    parts: Parts,
    *,
    loader: Loader,
    optimizer: OptimizerSettings,
    engine: Engine,
    folder: RunFolder,
    watcher: Watcher,
    checkpoint_every_steps: int,
    resume: bool,
) -> None:
    """Train what the objective's terms have to prepare, one after another.

    What comes out stays in the learner: in the student's weights, or in modules that a stage shares with its method.
    A stage that had ended before an interruption is restored, not trained again.
    """
    if resume and (folder.checkpoints / "last.pt").exists():
        return  # the run proper has begun, and its checkpoint holds what the stages gave
    for name, term in parts.learner.objective.named_terms():
        stage = term.preparation()
        if stage is None or stage.epochs == 0:
            continue
        watcher.note(f"stage {name}: {stage.epochs} epochs before the run, training the {stage.trains}")
        record = folder.stage(name)
        objective = Sum(**{name: (1.0, stage.objective)})
        objective.task = parts.learner.objective.task
        kind = Learner if stage.trains == "network" else Bystander
        learner = engine.place(kind(parts.learner.network, objective, parts.learner.forward_pass))
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
            journal=record,
            watcher=watcher,
            checkpoints=record.checkpoints,
            resume=resume,
        )
