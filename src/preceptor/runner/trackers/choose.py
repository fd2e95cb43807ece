"""Trackers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec

from preceptor.errors import UsageError
from preceptor.messages import did_you_mean
from preceptor.runner.trackers.base import Tracker, Tracking
from preceptor.runner.trackers.mlflow import MLflow
from preceptor.runner.trackers.tensorboard import TensorBoard
from preceptor.runner.trackers.trackio import Trackio
from preceptor.runner.trackers.wandb import WandB

__all__ = ["check_trackers", "make_tracking"]

_TRACKERS: Mapping[str, type[Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
    "trackio": Trackio,
}


def check_trackers(names: Sequence[str]) -> None:
    """Check that trackers are known and their packages installed.

    Raises:
        UsageError: when one is not.
    """
    for name in names:
        if name not in _TRACKERS:
            raise UsageError(f"track: unknown name {name!r}{did_you_mean(name, _TRACKERS)}")
        if find_spec(name) is None:
            raise UsageError(f"track: {name} is not installed: pip install preceptor[{name}]")


def make_tracking(names: Sequence[str], tell: Callable[[str], None]) -> Tracking:
    """Return the trackers of a run.

    Args:
        names: of them; none for processes that write nothing.
        tell: is called with a line per failure.
    """
    return Tracking({name: _TRACKERS[name]() for name in dict.fromkeys(names)}, tell)
