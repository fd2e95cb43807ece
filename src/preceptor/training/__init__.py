"""The training loop and what it stands on: engine, optimiser, checkpoints, selection, evaluation."""

from preceptor.training.averaging import Averaging, AveragingName
from preceptor.training.callbacks import Callback, EpochRow
from preceptor.training.engine import Engine, EngineName, Precision, choose_engine, forward_flops
from preceptor.training.evaluate import predict
from preceptor.training.learner import Learner, ObjectiveOnlyLearner
from preceptor.training.loop import FitResult, Interrupted, fit
from preceptor.training.optimizers.optim import LearningRate, OptimizerSettings
from preceptor.training.plan import Plan
from preceptor.training.selection import Selection
from preceptor.training.teachers import (
    EnsembleTeacher,
    LiveTeacher,
    OracleTeacher,
    SequentialTeacher,
    StoredTeacher,
    TeacherSource,
    together,
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
    "Interrupted",
    "Learner",
    "LearningRate",
    "LiveTeacher",
    "ObjectiveOnlyLearner",
    "OptimizerSettings",
    "OracleTeacher",
    "Plan",
    "Precision",
    "Selection",
    "SequentialTeacher",
    "StoredTeacher",
    "TeacherSource",
    "choose_engine",
    "fit",
    "forward_flops",
    "predict",
    "together",
]
