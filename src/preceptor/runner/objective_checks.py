"""What an objective needs of the networks and the data of its run, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.artifacts.compatibility import check_number
from preceptor.data import Data
from preceptor.errors import UsageError
from preceptor.labels import LabelStore
from preceptor.models import BlackBox, black_box_in
from preceptor.objectives.base import BuildContext, FeatureShapes
from preceptor.objectives.distill import METHODS
from preceptor.objectives.teacher import OBJECTIVES
from preceptor.objectives.weighted import Sum
from preceptor.training import Engine
from preceptor.types import Outputs

__all__ = [
    "check_black_boxes",
    "check_classes",
    "check_multilabel",
    "check_stored",
    "feature_shapes",
    "find_black_boxes",
]


def check_classes(context: BuildContext, data: Data) -> None:
    """Check that both networks have as many classes as the data.

    Raises:
        UsageError: when one has not.
    """
    for role, outputs in (("model", context.student), ("teacher", context.teacher)):
        for member in () if outputs is None else (outputs, *outputs.members):
            check_number(role, member.logits.shape[1], data)


def check_multilabel(objective: Sum) -> None:
    """Check that every term is defined where several classes can be present at once.

    Raises:
        UsageError: when one is not.
    """
    for name, term in objective.named_terms():
        if term.multilabel is None:
            known = ", ".join(key for key, entry in {**OBJECTIVES, **METHODS}.items() if entry.objective.multilabel)
            raise UsageError(f"{name}: is not made for multi-label data; there are {known}")


def find_black_boxes(networks: Sequence[nn.Module], engine: Engine) -> list[BlackBox]:
    """Return the teachers among these networks that are no PyTorch modules.

    Raises:
        UsageError: when their weights are to be sharded.
    """
    boxes = [box for each in networks if (box := black_box_in(each)) is not None]
    if boxes and engine.sharding == "teacher":
        raise UsageError(f"sharding: teacher shards weights, and the teacher {boxes[0].name} has none")
    return boxes


def check_black_boxes(boxes: Sequence[BlackBox], objective: Sum, context: BuildContext) -> None:
    """Check that an objective needs only logits of teachers that have nothing else.

    Raises:
        UsageError: when it needs more.
    """
    if boxes:
        why = f"the teacher {boxes[0].name} gives logits only, and this method needs a PyTorch module"
        _check_logits_only(objective, context, why)


def check_stored(store: LabelStore, objective: Sum, context: BuildContext) -> None:
    """Check that an objective needs only the logits of a teacher, for the views that are stored.

    Raises:
        UsageError: when it needs more.
    """
    why = f"labels {store.folder} hold logits only, and this method needs the teacher itself: teacher=RUN, no labels"
    if objective.views():
        raise UsageError(f"{why} (extra views: {', '.join(objective.views())})")
    _check_logits_only(objective, context, why)


def feature_shapes(outputs: Outputs | None) -> FeatureShapes:
    """Return the shapes of a network's features by name."""
    return {} if outputs is None else {name: tuple(value.shape[1:]) for name, value in outputs.features.items()}


def _check_logits_only(objective: Sum, context: BuildContext, why: str) -> None:
    """Check that an objective needs only the logits of a teacher.

    Args:
        objective: of the run.
        context: with the student's features.
        why: the teacher has none, for the message.

    Raises:
        UsageError: when it needs more.
    """
    try:
        wanted = objective.taps(feature_shapes(context.student), {}).teacher
    except UsageError as error:
        raise UsageError(f"{why} ({error})") from error
    if wanted:
        raise UsageError(f"{why} (features: {', '.join(wanted)})")
