"""A small training on tensors, for tests of the loop and what it stands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler

from preceptor.artifacts.metrics_log import MetricsLog
from preceptor.data import Arrays, Loader, LoaderSettings, Normalisation
from preceptor.distributed import ONE_PROCESS, Processes
from preceptor.models import observe
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.training import (
    Engine,
    Learner,
    LearningRate,
    OptimizerSettings,
    Plan,
    RunFiles,
    TrainState,
    make_optimizer,
)
from preceptor.training.optimizers.base import NO_SCALER
from preceptor.types import Batch

CPU = torch.device("cpu")
ENGINE = Engine(CPU)
CLASSES, BATCH_SIZE, BATCHES = 3, 8, 3


def made_loader() -> Loader:
    """Return the loader of 24 samples with 4 numbers each."""
    inputs = torch.randn(BATCH_SIZE * BATCHES, 4, generator=torch.Generator().manual_seed(0))
    split = Arrays(inputs, inputs[:, :CLASSES].argmax(1))
    return Loader(
        split,
        LoaderSettings(batch_size=BATCH_SIZE, view="none", normalisation=Normalisation(), seed=0, device=CPU),
    )


def made_batch() -> Batch:
    """Return the first batch of the first epoch."""
    return next(made_loader().batches(1))


def made_learner(objective: Sum | None = None) -> Learner:
    """Return a linear network with dropout and its objective, the same at each call."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, CLASSES), nn.Dropout(0.1))
    return Learner(observe(network, ()), objective or Sum(cross_entropy=(1.0, CrossEntropy())))


def made_plan(epochs: int = 2, **fields: Any) -> Plan:
    """Return a plan with a constant rate of 0.1."""
    return Plan(**{"epochs": epochs, "last_epoch": epochs, "learning_rate": LearningRate(0.1), **fields})


def made_state(
    learner: Learner | None = None,
    plan: Plan | None = None,
    optim: OptimizerSettings | None = None,
    processes: Processes = ONE_PROCESS,
    scaler: GradScaler = NO_SCALER,
) -> TrainState:
    """Return the state of a new run."""
    learner = learner or made_learner()
    optim = optim or OptimizerSettings(lr=0.1, momentum=0.9)
    return TrainState(learner, make_optimizer(optim, learner, scaler), plan or made_plan(), BATCHES, processes)


def made_files(folder: Path) -> RunFiles:
    """Return the files of a run in a folder."""
    return RunFiles(folder / "checkpoint", MetricsLog(folder / "metrics.jsonl"))
