"""What every objective is: an nn.Module that turns a Step into nats per sample. `Sum` adds them up.

What an objective learns (connectors) are its parameters; what it remembers (a bank, a queue) are its buffers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from preceptor.divergences import each_class
from preceptor.errors import UsageError
from preceptor.objectives.schedules import Schedule
from preceptor.types import Batch, Clock, Outputs, Step, Task

__all__ = [
    "Objective",
    "Offer",
    "Setting",
    "Stage",
    "Sum",
    "Taps",
    "Weight",
    "at_least",
    "handed_over",
    "labels_of",
    "one_of",
    "positive",
    "targets_of",
    "teacher_outputs",
    "total",
]

Weight = float | Schedule
Offer = Mapping[str, tuple[int, ...]]  # the features a network has, in order: name -> shape of one sample's
_Choice = TypeVar("_Choice", bound=str)


@dataclass(frozen=True, slots=True)
class Taps:
    """The features an objective wants from each network, by name."""

    student: tuple[str, ...] = ()
    teacher: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run looks like before its first step, from one dry forward pass of two samples.

    Attributes:
        num_samples: rows of the training split, the length of a per-sample bank.
        num_classes: width of the logits.
        student: outputs of the student, with the features that were asked for.
        teacher: the same of the teacher, or None while a teacher is being trained.
        model: the network that is trained, for objectives that look at its weights.
        teacher_model: the teacher's network, where it is one.
        labels: of the training split, [num_samples], or multi-label [num_samples, num_classes], on the CPU.
        batch_size: rows of a full batch.
        task: what is asked of the network.
    """

    num_samples: int
    num_classes: int
    student: Outputs
    teacher: Outputs | None
    model: nn.Module | None = None
    teacher_model: nn.Module | None = None
    labels: Tensor | None = None
    batch_size: int = 64
    task: Task = "multiclass"


@dataclass(frozen=True, slots=True)
class Stage:
    """What is trained before the run proper, as a stage of its own with its own optimiser and checkpoint.

    Attributes:
        objective: what is minimised; it shares its modules with the method it prepares.
        epochs: how long.
        trains: "network": the student and the objective; "objective": the objective alone, while no student runs: the
            Step's student is then what the teacher said.
        lr: constant learning rate, times `gamma` after each of `milestones`; None: the run's.
        milestones: epochs after which the rate falls.
        gamma: by which factor.
    """

    objective: Objective
    epochs: int
    trains: Literal["network", "objective"] = "network"
    lr: float | None = None
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1


class Objective(nn.Module, ABC):
    """What a network is trained to minimise.

    `forward` takes tensors, for use in one's own loop; `loss` says where they come from in a Step.

    Attributes:
        uses_teacher: whether it takes something from a teacher, as methods do, or only from labels and weights.
        needs_labels: whether it is applied to the labelled rows of a batch only.
        needs_samples: whether it is applied to rows that show a sample only, not to mixed or noisy inputs.
        memories: names of the buffers that hold a row a sample, which a step changes at the rows it saw only.
        multilabel: what it is for multi-label data. "each_class": its sum over classes, each taken as a problem of two classes
            (absent, present) with the logits (0, z); "as_is": it looks at no logits, or does what is right by itself; None:
            not defined there.
    """

    uses_teacher: bool = True
    needs_labels: bool = False
    needs_samples: bool = False
    memories: tuple[str, ...] = ()
    multilabel: ClassVar[Literal["each_class", "as_is"] | None] = None

    @abstractmethod
    def loss(self, step: Step) -> Tensor:
        """Return the loss of this step: a float32 scalar in nats per sample unless the objective says otherwise."""

    def remodel(self, model: nn.Module, setting: Setting) -> nn.Module:
        """Return the network to train instead of `model`, made before anything is tapped; most objectives keep it.

        Args:
            model: the student.
            setting: dry outputs that hold every feature on offer.
        """
        return model

    def taps(self, student: Offer, teacher: Offer) -> Taps:
        """Choose features among those on offer, in network order; most objectives want none.

        Raises:
            UsageError: where the networks have no features this objective can work with.
        """
        return Taps()

    def views(self) -> tuple[str, ...]:
        """Return the further views of each sample that both networks are asked about; found in `Outputs.views`."""
        return ()

    def build(self, setting: Setting) -> None:
        """Make connectors and banks; called once, before the optimiser is made and before a state is loaded."""

    def survey(self, answers: Iterable[Step]) -> None:
        """Look at what the network says of the training split before its first step; most objectives do not.

        Args:
            answers: logits for one pass in training mode, made batch by batch as they are looked at.
        """

    def preparation(self) -> Stage | None:
        """Return what has to be trained before the run proper (after `build`); most objectives need nothing."""
        return None

    def notes(self) -> tuple[str, ...]:
        """Return the choices a user should hear about, a line each (after `build`)."""
        return ()


class Sum(Objective):
    """A weighted sum of named objectives; itself an objective.

    Of multi-label data, terms that are made for two or more classes get each class as a problem of its own.

    Example:
        >>> from preceptor.objectives.distill import KD
        >>> from preceptor.objectives.teacher import CrossEntropy
        >>> objective = Sum(cross_entropy=(0.1, CrossEntropy()), kd=(0.9, KD(temperature=4.0)))
        >>> list(objective.weights(Clock(epoch=1, epochs=1, progress=0.0)).items())
        [('cross_entropy', 0.1), ('kd', 0.9)]
    """

    multilabel = "as_is"

    def __init__(self, **terms: tuple[Weight, Objective]) -> None:
        super().__init__()
        self.task: Task = "multiclass"
        if not terms:
            raise ValueError("Sum: needs at least one term, got none")
        self.weight_of: dict[str, Weight] = {name: weight for name, (weight, _) in terms.items()}
        self.objectives = nn.ModuleDict({name: objective for name, (_, objective) in terms.items()})
        self.needs_labels = all(objective.needs_labels for _, objective in self.named_terms())
        self.needs_samples = all(objective.needs_samples for _, objective in self.named_terms())

    def named_terms(self) -> list[tuple[str, Objective]]:
        """Return the terms by name, in the order they were given."""
        return [(name, module) for name, module in self.objectives.items() if isinstance(module, Objective)]

    @property
    def running(self) -> tuple[str, ...]:
        """The terms that run: all but those whose weight is plainly 0, which have only their preparation to do."""
        return tuple(name for name, weight in self.weight_of.items() if weight != 0.0)

    def weights(self, clock: Clock) -> dict[str, float]:
        """Return each term's weight at this moment."""
        return {
            name: weight(clock) if isinstance(weight, Schedule) else weight for name, weight in self.weight_of.items()
        }

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return each term's loss before weighting, on the rows that it can be applied to; without any, it is left out.

        A term runs even while its schedule says 0, so that memories stay up to date.
        """
        found = {}
        for name, objective in self.named_terms():
            rows = _rows_for(objective, step.batch) if name in self.running else 0
            if rows:
                found[name] = self._loss(objective, step if rows == len(step.batch.inputs) else step.rows(0, rows))
        return found

    def _loss(self, objective: Objective, step: Step) -> Tensor:
        if not self._is_by_class(objective):
            return objective.loss(step)
        return step.student.logits.shape[1] * objective.loss(_step_by_class(step))

    def _is_by_class(self, objective: Objective) -> bool:
        return self.task == "multilabel" and objective.multilabel == "each_class"

    def loss(self, step: Step) -> Tensor:
        """Return the sum of weight times term."""
        return total(self.terms(step), self.weights(step.clock))

    def remodel(self, model: nn.Module, setting: Setting) -> nn.Module:
        """Let every term remodel the network in turn."""
        for _, objective in self.named_terms():
            model = objective.remodel(model, setting)
        return model

    def taps(self, student: Offer, teacher: Offer) -> Taps:
        """Return the union of what the terms want."""
        wanted = [objective.taps(student, teacher) for _, objective in self.named_terms()]
        return Taps(
            tuple(dict.fromkeys(name for taps in wanted for name in taps.student)),
            tuple(dict.fromkeys(name for taps in wanted for name in taps.teacher)),
        )

    def views(self) -> tuple[str, ...]:
        """Return the union of what the terms want to see."""
        return tuple(dict.fromkeys(name for _, objective in self.named_terms() for name in objective.views()))

    def build(self, setting: Setting) -> None:
        """Build every term."""
        self.task = setting.task
        for _, objective in self.named_terms():
            objective.build(_setting_by_class(setting) if self._is_by_class(objective) else setting)

    def notes(self) -> tuple[str, ...]:
        """Return the notes of all terms, each under its name."""
        return tuple(f"{name}: {note}" for name, objective in self.named_terms() for note in objective.notes())


def _rows_for(objective: Objective, batch: Batch) -> int:
    """Return how many rows of a batch, counted from its first, an objective can be applied to."""
    return min(
        len(batch.inputs),
        batch.num_labelled if objective.needs_labels else len(batch.inputs),
        len(batch.index) if objective.needs_samples else len(batch.inputs),
    )


def handed_over(weights: Mapping[str, float], present: Collection[str]) -> dict[str, float]:
    """Return the weights of the terms that are present, scaled so that their sum is that of all terms.

    Raises:
        ValueError: when the weights that are present add up to 0.

    Example:
        >>> handed_over({"cross_entropy": 0.1, "kd": 0.9}, ["kd"])
        {'kd': 1.0}
    """
    kept = {name: weight for name, weight in weights.items() if name in present}
    if sum(kept.values()) == 0:
        raise ValueError(f"weights: {kept} add up to 0, so that nothing can be handed over to them")
    scale = sum(weights.values()) / sum(kept.values())
    return {name: weight * scale for name, weight in kept.items()}


def _step_by_class(step: Step) -> Step:
    """Return a step whose rows are the classes of each row in turn, present (1) or absent (0), with the logits (0, z)."""
    batch, (num_rows, num_classes) = step.batch, step.student.logits.shape
    classes, labels = torch.arange(num_classes, device=batch.index.device), batch.labels
    if labels is not None:
        labels = labels.flatten()
        labels = torch.stack([1 - labels, labels], dim=1) if labels.is_floating_point() else labels
    rows = replace(
        batch,
        inputs=batch.inputs.new_empty(num_rows * num_classes, 0),  # what is seen is not a row a class
        labels=labels,
        index=(num_classes * batch.index[:, None] + classes).flatten(),
        further={},
    )
    teacher = None if step.teacher is None else _outputs_by_class(step.teacher)
    return replace(step, batch=rows, student=_outputs_by_class(step.student), teacher=teacher)


def _outputs_by_class(outputs: Outputs) -> Outputs:
    return Outputs(
        each_class(outputs.logits),
        outputs.features,
        {name: _outputs_by_class(seen) for name, seen in outputs.views.items()},
        tuple(_outputs_by_class(member) for member in outputs.members),
    )


def _setting_by_class(setting: Setting) -> Setting:
    """Return the setting of a problem of two classes with a row for each sample and class."""
    return replace(
        setting,
        num_samples=setting.num_samples * setting.num_classes,
        num_classes=2,
        student=_outputs_by_class(setting.student),
        teacher=None if setting.teacher is None else _outputs_by_class(setting.teacher),
        labels=None if setting.labels is None else setting.labels.flatten().long(),
        batch_size=setting.batch_size * setting.num_classes,
        task="binary",
    )


def total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return the sum of weight times term, skipping weights of exactly 0 (so that 0 * inf never arises).

    Raises:
        ValueError: when every weight is 0: there is nothing to minimise.
    """
    parts = [weights[name] * term for name, term in terms.items() if weights[name] != 0.0]
    if not parts:
        raise ValueError(f"every term has weight 0: {', '.join(terms)}")
    result = parts[0]
    for part in parts[1:]:
        result = result + part
    return result


def positive(value: float, name: str) -> float:
    """Return a knob that must be above 0.

    Raises:
        ValueError: when it is not.
    """
    if not value > 0:
        raise ValueError(f"{name}: {value} is not above 0")
    return value


def at_least(value: int, least: int, name: str) -> int:
    """Return a knob that must not be below some number.

    Raises:
        ValueError: when it is.
    """
    if value < least:
        raise ValueError(f"{name}: {value} is below {least}")
    return value


def one_of(value: _Choice, choices: Sequence[str], name: str) -> _Choice:
    """Return a knob that must be one of a few words.

    Raises:
        ValueError: when it is not.
    """
    if value not in choices:
        raise ValueError(f"{name}: unknown {value!r}; there are {', '.join(choices)}")
    return value


def labels_of(step: Step) -> Tensor:
    """Return the class of each row of this step, [rows].

    Raises:
        UsageError: when rows have none, or a distribution instead: see `Objective.needs_labels`.
    """
    labels = targets_of(step)
    if labels.is_floating_point():
        raise UsageError("this objective needs classes as labels, and the inputs of this batch are mixtures of several")
    return labels


def targets_of(step: Step) -> Tensor:
    """Return the label of each row of this step: classes [rows], or target distributions [rows, classes].

    Raises:
        UsageError: when rows have none: see `Objective.needs_labels`.
    """
    batch = step.batch
    if batch.labels is None or batch.num_labelled < len(batch.inputs):
        raise UsageError(
            f"this objective needs labels, and {len(batch.inputs) - batch.num_labelled} of {len(batch.inputs)} rows have "
            "none; with needs_labels = True it would be applied to the others only"
        )
    return batch.labels


def teacher_outputs(step: Step) -> Outputs:
    """Return the teacher's outputs of this step.

    Raises:
        UsageError: when the run has no teacher: a method that takes something from one cannot train it.
    """
    if step.teacher is None:
        raise UsageError("this objective learns from a teacher, and the run has none (use it in distill, not teach)")
    return step.teacher
