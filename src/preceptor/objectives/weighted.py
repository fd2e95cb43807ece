"""Objectives added up: `Sum` and the arithmetic of its weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from torch import Tensor, nn

from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps
from preceptor.objectives.one_vs_rest import one_vs_rest_context, one_vs_rest_rows, one_vs_rest_step
from preceptor.objectives.schedules import Schedule, Weight
from preceptor.types import Batch, Progress, Step, Task

__all__ = ["Sum", "renormalise", "total", "weighted_sum"]


class Sum(Objective):
    """A weighted sum of named objectives; itself an objective.

    On multi-label data, "one_vs_rest" terms get each class as a problem of its own.

    Examples:
        >>> from preceptor.objectives.distill import KD
        >>> from preceptor.objectives.teacher import CrossEntropy
        >>> objective = Sum(cross_entropy=(0.1, CrossEntropy()), kd=(0.9, KD(temperature=4.0)))
        >>> list(objective.weights(Progress(epoch=1, epochs=1, fraction=0.0)).items())
        [('cross_entropy', 0.1), ('kd', 0.9)]
    """

    multilabel = "as_is"

    def __init__(self, **terms: tuple[Weight, Objective]) -> None:
        super().__init__()
        self.task: Task = "multiclass"
        self.num_classes = 0
        if not terms:
            raise ValueError("Sum: needs at least one term, got none")
        self.weight_of: dict[str, Weight] = {name: weight for name, (weight, _) in terms.items()}
        self.objectives = nn.ModuleDict({name: objective for name, (_, objective) in terms.items()})
        self.needs_labels = all(objective.needs_labels for _, objective in self.named_terms())
        self.needs_samples = all(objective.needs_samples for _, objective in self.named_terms())
        self.compares_rows = any(objective.compares_rows for _, objective in self.named_terms())

    def named_terms(self) -> list[tuple[str, Objective]]:
        """Return the terms with their names, in the order of the arguments."""
        return [(name, module) for name, module in self.objectives.items() if isinstance(module, Objective)]

    @property
    def running(self) -> tuple[str, ...]:
        """The terms that run: all but those with a constant weight of 0, of which only the pretraining counts."""
        return tuple(name for name, weight in self.weight_of.items() if weight != 0.0)

    @property
    def teacher_terms(self) -> frozenset[str]:
        """The names of the terms that take something from a teacher."""
        return frozenset(name for name, objective in self.named_terms() if objective.uses_teacher)

    def weights(self, progress: Progress) -> dict[str, float]:
        """Return each term's weight at this moment."""
        return {
            name: weight(progress) if isinstance(weight, Schedule) else weight
            for name, weight in self.weight_of.items()
        }

    def present(self, batch: Batch) -> tuple[str, ...]:
        """Return the names of the terms that apply to some row of a batch."""
        running = ((name, objective) for name, objective in self.named_terms() if name in self.running)
        return tuple(name for name, objective in running if _rows_for(objective, batch))

    def terms(self, step: Step, gather: Callable[[Step], Step] | None = None) -> dict[str, Tensor]:
        """Return the loss of each term before weighting, on the rows it applies to; a term without rows is left out.

        A term runs even while its schedule says 0, so that its memory banks stay up to date.

        Args:
            step: with the rows of one process, or of one pass.
            gather: returns the step with the rows of all processes, for terms that compare rows.
        """
        running = [(name, objective) for name, objective in self.named_terms() if name in self.running]
        gathered = step
        if gather is not None and any(objective.compares_rows for _, objective in running):
            gathered = gather(step)
        losses = {}
        for name, objective in running:
            own = gathered if objective.compares_rows else step
            if rows := _rows_for(objective, own.batch):
                loss = self._loss(objective, own if rows == len(own.batch.inputs) else own.rows(0, rows))
                weight = _weight_of(objective, own.batch)
                losses[name] = loss if weight == 1 else loss * weight
        return losses

    def _loss(self, objective: Objective, step: Step) -> Tensor:
        if not self._is_one_vs_rest(objective):
            return objective.loss(step)
        return step.student.logits.shape[1] * objective.loss(one_vs_rest_step(step))

    def _is_one_vs_rest(self, objective: Objective) -> bool:
        return self.task == "multilabel" and objective.multilabel == "one_vs_rest"

    def loss(self, step: Step) -> Tensor:
        """Return the sum of weight times term."""
        return total(self.terms(step), self.weights(step.progress))

    def wrap_student(self, model: nn.Module, context: BuildContext) -> nn.Module:
        """Let each term wrap the student in turn."""
        for _, objective in self.named_terms():
            model = objective.wrap_student(model, context)
        return model

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Return the union of the terms' features."""
        wanted = [objective.taps(student, teacher) for _, objective in self.named_terms()]
        return Taps(
            tuple(dict.fromkeys(name for taps in wanted for name in taps.student)),
            tuple(dict.fromkeys(name for taps in wanted for name in taps.teacher)),
        )

    def views(self) -> tuple[str, ...]:
        """Return the union of the terms' extra views."""
        return tuple(dict.fromkeys(name for _, objective in self.named_terms() for name in objective.views()))

    def build(self, context: BuildContext) -> None:
        """Build every term."""
        self.task, self.num_classes = context.task, context.num_classes
        for _, objective in self.named_terms():
            objective.build(one_vs_rest_context(context) if self._is_one_vs_rest(objective) else context)

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the modules of all terms."""
        return {key: each for _, term in self.named_terms() for key, each in term.trained_modules().items()}

    def memory_rows(self, index: Tensor) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Yield the terms' memory banks and rows; "one_vs_rest" terms have one row per sample and class."""
        for _, objective in self.named_terms():
            is_expanded = self._is_one_vs_rest(objective)
            yield from objective.memory_rows(one_vs_rest_rows(index, self.num_classes) if is_expanded else index)

    def notes(self) -> tuple[str, ...]:
        """Return the notes of all terms, each under its name."""
        return tuple(f"{name}: {note}" for name, objective in self.named_terms() for note in objective.notes())


def _rows_for(objective: Objective, batch: Batch) -> int:
    """Return how many rows of a batch, counted from the first, an objective applies to."""
    return min(
        len(batch.inputs),
        batch.num_labelled if objective.needs_labels else len(batch.inputs),
        len(batch.index) if objective.needs_samples else len(batch.inputs),
    )


def _weight_of(objective: Objective, batch: Batch) -> float:
    """Return the weight of the mean over the rows that an objective applies to, where the mean over all rows has 1."""
    share = batch.labelled_share if objective.needs_labels else batch.share
    if objective.needs_samples and (not objective.needs_labels or len(batch.index) < batch.num_labelled):
        share = batch.sample_share
    return share / batch.share if batch.share > 0 else 1.0


def renormalise(weights: Mapping[str, float], present: Collection[str]) -> dict[str, float]:
    """Return the weights of the terms that are present, scaled so that their sum is that of all terms.

    Raises:
        ValueError: when the weights that are present add up to 0.

    Examples:
        >>> renormalise({"cross_entropy": 0.1, "kd": 0.9}, ["kd"])
        {'kd': 1.0}
    """
    kept = {name: weight for name, weight in weights.items() if name in present}
    if sum(kept.values()) == 0:
        raise ValueError(f"weights: {kept} add up to 0 and cannot be renormalised")
    scale = sum(weights.values()) / sum(kept.values())
    return {name: weight * scale for name, weight in kept.items()}


def total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return the sum of weight times term, skipping weights of exactly 0 (so that 0 * inf never arises).

    Raises:
        ValueError: when every weight is 0: there is nothing to minimise.
    """
    counted = [name for name in terms if weights[name] != 0.0]
    if not counted:
        raise ValueError(f"every term has weight 0: {', '.join(terms)}")
    return weighted_sum([terms[name] for name in counted], [weights[name] for name in counted])


def weighted_sum(terms: Sequence[Tensor], weights: Sequence[float | Tensor]) -> Tensor:
    """Return the sum of weight times term, of at least one."""
    first, *others = (weight * term for weight, term in zip(weights, terms, strict=True))
    for term in others:
        first = first + term
    return first
