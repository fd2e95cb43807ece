"""What every objective is: an nn.Module that turns a Step into nats per sample.

What an objective learns (connectors) are its parameters; what it remembers (a bank, a queue) are its buffers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.types import Outputs, Step, Task

__all__ = [
    "BuildContext",
    "FeatureShapes",
    "Objective",
    "Stage",
    "Taps",
    "labels_of",
    "targets_of",
    "teacher_outputs",
]

FeatureShapes = Mapping[str, tuple[int, ...]]  # a network's features in order: name -> shape without the batch axis


@dataclass(frozen=True, slots=True)
class Taps:
    """The features an objective wants from each network, by name."""

    student: tuple[str, ...] = ()
    teacher: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What objectives are built from: the sizes of a run, and a dry forward pass of two samples.

    Attributes:
        num_samples: rows of the training split, the length of a per-sample bank.
        num_classes: width of the logits.
        student: outputs of the student, with the features the objective taps.
        teacher: outputs of the teacher likewise, or None while a teacher is being trained.
        model: the network being trained, for objectives that look at its weights.
        teacher_model: the teacher's network, where there is one.
        labels: of the training split, [num_samples], or multi-label [num_samples, num_classes], on the CPU.
        batch_size: rows of a full batch, or of one pass where batches are split into several.
        task: multi-class, binary or multi-label.
        inputs: of the dry forward pass.
        new_network: returns a new network for the data by its name; None: another one like the network that is trained.
        teacher_files: what the teacher's run wrote of its `Objective.trained_modules`, by name.
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
    inputs: Tensor | None = None
    new_network: Callable[[str | None], nn.Module] | None = None
    teacher_files: Mapping[str, Path] = field(default_factory=dict)

    def network(self, name: str | None) -> nn.Module:
        """Return a new network by its name; None: another one like the network that is trained.

        Raises:
            UsageError: where no network can be made.
        """
        if self.new_network is None:
            raise UsageError(
                f"this objective trains {name or 'another network'} too, and needs BuildContext.new_network"
            )
        return self.new_network(name)


@dataclass(frozen=True, slots=True)
class Stage:
    """What is trained before the run proper: a stage with its own optimiser and checkpoint.

    Attributes:
        objective: what is minimised; it shares its modules with the method that asks for the stage.
        epochs: how long.
        trains: "network": the student and the objective; "objective": the objective alone. No student runs then, and the
            Step's student holds the teacher's outputs.
        lr: constant learning rate, times `gamma` after each of `milestones`; None: the run's.
        milestones: epochs after which the rate falls; below 1: shares of the stage.
        gamma: by which factor.
    """

    objective: Objective
    epochs: int
    trains: Literal["network", "objective"] = "network"
    lr: float | None = None
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1


class Objective(nn.Module, ABC):
    """What a network is trained to minimise.

    `forward` takes tensors, for use in one's own loop; `loss` says where they come from in a Step.

    Attributes:
        uses_teacher: whether it takes something from a teacher, as methods do, or only from labels and weights.
        needs_labels: whether it is applied to labelled rows only.
        needs_samples: whether it is applied to rows that show a single sample only, not to mixed or noisy inputs.
        compares_rows: whether the loss of a row depends on the other rows of the batch, now or through a memory of earlier
            batches. Where several processes share a batch, the step then holds the rows of all of them (without their
            `Batch.inputs` and `Batch.extra_views`); a mean over rows needs the rows of its own process only.
        memory_banks: names of the buffers with one row per sample, of which a step changes only the rows of its batch.
        multilabel: what it is on multi-label data. "one_vs_rest": the sum over classes, each a problem of two classes (absent,
            present) with the logits (0, z); "as_is": it looks at no logits, or handles the case itself; None: not defined.
    """

    uses_teacher: bool = True
    needs_labels: bool = False
    needs_samples: bool = False
    compares_rows: bool = False
    memory_banks: tuple[str, ...] = ()
    multilabel: ClassVar[Literal["one_vs_rest", "as_is"] | None] = None

    if TYPE_CHECKING:  # nn.Module returns Any
        __call__: Callable[..., Tensor]

    @abstractmethod
    def loss(self, step: Step) -> Tensor:
        """Return the loss of this step: a float32 scalar in nats per sample unless the objective says otherwise."""

    def wrap_student(self, model: nn.Module, context: BuildContext) -> nn.Module:
        """Return the network to train instead of `model`, before features are tapped; most objectives return `model`.

        Args:
            model: the student.
            context: its outputs hold all features that the networks have.
        """
        return model

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Choose features among those the networks have, in network order; most objectives need none.

        Raises:
            UsageError: where the networks have no features this objective can work with.
        """
        return Taps()

    def views(self) -> tuple[str, ...]:
        """Return the names of the extra views of each sample that both networks are run on: see `Outputs.views`."""
        return ()

    def build(self, context: BuildContext) -> None:
        """Make connectors and banks; called once, before the optimiser is made and before a state is loaded."""

    def calibrate(self, steps: Iterable[Step]) -> None:
        """Look at the networks' outputs on the training split before the first step; most objectives do not.

        Args:
            steps: one pass over the split, made lazily: the student's logits, in training mode, and the teacher's outputs.
        """

    def pretraining(self) -> Stage | None:
        """Return what is trained before the run proper (after `build`); most objectives need nothing."""
        return None

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return what a finished run writes beside its network, by the name of the file; most objectives have nothing."""
        return {}

    def memory_rows(self, index: Tensor) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Yield the memory banks of this objective and those within it, each with the rows of some samples.

        Args:
            index: of the samples: see `Batch.index`.
        """
        for module in self.modules():
            if isinstance(module, Objective) and module.memory_banks:
                yield [module.get_buffer(name) for name in module.memory_banks], index

    def notes(self) -> tuple[str, ...]:
        """Return the choices that a user should know of, one line each (after `build`)."""
        return ()


def labels_of(step: Step) -> Tensor:
    """Return the class of each row of this step, [rows].

    Raises:
        UsageError: when rows have none, or have distributions: see `Objective.needs_labels`.
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
