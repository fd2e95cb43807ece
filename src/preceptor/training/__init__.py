"""The training loop and what it stands on: engine, optimiser, checkpoints, selection, evaluation."""

from preceptor.training.averaging import Averaging, AveragingName
from preceptor.training.engine import Engine, EngineName, Precision, choose_engine, forward_flops
from preceptor.training.evaluate import predict
from preceptor.training.learner import (
    Bystander,
    Learner,
    LiveTeacher,
    StoredTeacher,
    TeacherRoute,
    TeacherSource,
    TeacherTeam,
    TruthTeacher,
    together,
)
from preceptor.training.loop import Course, EpochRow, Interrupted, Plan, Watcher, fit
from preceptor.training.optim import LearningRate, OptimizerSettings
from preceptor.training.processes import Processes, join_processes
from preceptor.training.regions import RegionSearch
from preceptor.training.selection import Selection
from preceptor.training.sharding import Sharding
from preceptor.training.whole import whole_batch, whole_step

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
    "Processes",
    "RegionSearch",
    "Selection",
    "Sharding",
    "StoredTeacher",
    "TeacherRoute",
    "TeacherSource",
    "TeacherTeam",
    "TruthTeacher",
    "Watcher",
    "choose_engine",
    "fit",
    "forward_flops",
    "join_processes",
    "predict",
    "together",
    "whole_batch",
    "whole_step",
]
