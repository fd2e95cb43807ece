"""The training loop and what it stands on: engine, optimiser, checkpoints, selection, evaluation."""

from preceptor.training.averaging import Averaging, AveragingName
from preceptor.training.callbacks import EpochRow, Watcher
from preceptor.training.engine import Engine, EngineName, Precision, choose_engine, forward_flops
from preceptor.training.evaluate import predict
from preceptor.training.learner import Bystander, Learner
from preceptor.training.loop import Course, Interrupted, fit
from preceptor.training.optimizers.optim import LearningRate, OptimizerSettings
from preceptor.training.plan import Plan
from preceptor.training.selection import Selection
from preceptor.training.teachers import (
    LiveTeacher,
    StoredTeacher,
    TeacherRoute,
    TeacherSource,
    TeacherTeam,
    TruthTeacher,
    together,
)

__all__ = [
    "Averaging",
    "AveragingName",
    "Bystander",
    "Course",
    "Engine",
    "EngineName",
    "EpochRow",
    "Interrupted",
    "Learner",
    "LearningRate",
    "LiveTeacher",
    "OptimizerSettings",
    "Plan",
    "Precision",
    "Selection",
    "StoredTeacher",
    "TeacherRoute",
    "TeacherSource",
    "TeacherTeam",
    "TruthTeacher",
    "Watcher",
    "choose_engine",
    "fit",
    "forward_flops",
    "predict",
    "together",
]
