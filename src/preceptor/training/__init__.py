"""The training loop and what it stands on: engine, optimisers, checkpoints, selection, evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preceptor.lazy import lazy_names

if TYPE_CHECKING:
    from preceptor.training.averaging import update_batch_norm
    from preceptor.training.callbacks import Callback, EpochRow
    from preceptor.training.engine import (
        Engine,
        choose_engine,
        forward_flops,
        strides_over_one_pixel,
    )
    from preceptor.training.evaluate import predict
    from preceptor.training.learner import Learner, ObjectiveOnlyLearner
    from preceptor.training.loop import FitResult, RunFiles, fit, restore
    from preceptor.training.optimizers.optim import LearningRate, make_optimizer
    from preceptor.training.plan import Plan
    from preceptor.training.selection import Selection
    from preceptor.training.settings import (
        Averaging,
        AveragingName,
        EngineName,
        OptimizerSettings,
        Precision,
        RateSchedule,
    )
    from preceptor.training.state import TrainState
    from preceptor.training.teachers import (
        EnsembleTeacher,
        LiveTeacher,
        OracleTeacher,
        SequentialTeacher,
        StoredTeacher,
        TeacherSource,
        average_outputs,
    )

__all__ = [
    "Averaging",
    "AveragingName",
    "Callback",
    "Engine",
    "EngineName",
    "EnsembleTeacher",
    "EpochRow",
    "FitResult",
    "Learner",
    "LearningRate",
    "LiveTeacher",
    "ObjectiveOnlyLearner",
    "OptimizerSettings",
    "OracleTeacher",
    "Plan",
    "Precision",
    "RateSchedule",
    "RunFiles",
    "Selection",
    "SequentialTeacher",
    "StoredTeacher",
    "TeacherSource",
    "TrainState",
    "average_outputs",
    "choose_engine",
    "fit",
    "forward_flops",
    "make_optimizer",
    "predict",
    "restore",
    "strides_over_one_pixel",
    "update_batch_norm",
]

__getattr__, __dir__ = lazy_names(__name__)
