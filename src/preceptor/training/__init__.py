"""The training loop and what it stands on: engine, optimiser, checkpoints, selection, evaluation."""

from preceptor.training.engine import Engine, choose_engine
from preceptor.training.evaluate import predict
from preceptor.training.learner import Learner, LiveTeacher, TeacherSource, TruthTeacher
from preceptor.training.loop import Course, EpochRow, Interrupted, Plan, fit
from preceptor.training.optim import LearningRate, make_optimizer
from preceptor.training.selection import Selection

__all__ = [
    "Course",
    "Engine",
    "EpochRow",
    "Interrupted",
    "Learner",
    "LearningRate",
    "LiveTeacher",
    "Plan",
    "Selection",
    "TeacherSource",
    "TruthTeacher",
    "choose_engine",
    "fit",
    "make_optimizer",
    "predict",
]
