from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from preceptor.objectives.base import Objective, Setting, Sum, Taps, labels_of, teacher_outputs, total
from preceptor.objectives.schedules import Linear
from preceptor.types import Batch, Clock, Outputs, Step, View


class Constant(Objective):
    def __init__(self, value: float, wanted: Taps = Taps()) -> None:  # noqa: B008  (frozen)
        super().__init__()
        self.value = value
        self.wanted = wanted
        self.calls = 0

    def loss(self, step: Step) -> Tensor:
        self.calls += 1
        return torch.tensor(self.value)

    def taps(self, student: object, teacher: object) -> Taps:
        return self.wanted

    def notes(self) -> tuple[str, ...]:
        return (f"value {self.value}",)


def step(epoch: int = 1, labels: Tensor | None = None, teacher: Outputs | None = None) -> Step:
    batch = Batch(torch.zeros(2, 3), labels, torch.arange(2), View("none", 0, epoch))
    return Step(batch, Outputs(torch.zeros(2, 3)), teacher, nn.Identity(), Clock(epoch, 4, 0.0))


def test_the_sum_adds_weighted_terms_and_follows_schedules() -> None:
    objective = Sum(a=(2.0, Constant(3.0)), b=(Linear(1.0), Constant(8.0)))
    assert {k: v.item() for k, v in objective.terms(step()).items()} == {"a": 3.0, "b": 8.0}
    assert objective.loss(step(epoch=1)).item() == 2 * 3 + 8 / 4
    assert objective.loss(step(epoch=4)).item() == 2 * 3 + 8


def test_a_term_without_weight_runs_but_its_infinity_does_not_count() -> None:
    silent = Constant(float("inf"))
    objective = Sum(a=(1.0, Constant(3.0)), b=(0.0, silent))
    assert objective.loss(step()).item() == 3.0
    assert silent.calls == 1


def test_a_sum_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one term"):
        Sum()
    with pytest.raises(ValueError, match="every term has weight 0: a"):
        total({"a": torch.tensor(1.0)}, {"a": 0.0})


def test_taps_are_the_union_and_notes_carry_names() -> None:
    objective = Sum(
        a=(1.0, Constant(1.0, Taps(("block1", "pooled"), ("block2",)))),
        b=(1.0, Constant(2.0, Taps(("pooled", "layer.3"), ()))),
    )
    assert objective.taps((), ()) == Taps(("block1", "pooled", "layer.3"), ("block2",))
    assert objective.notes() == ("a: value 1.0", "b: value 2.0")


def test_sums_nest() -> None:
    inner = Sum(a=(2.0, Constant(1.0)), b=(3.0, Constant(1.0)))
    assert Sum(inner=(0.5, inner), c=(1.0, Constant(1.0))).loss(step()).item() == 3.5


def test_what_a_step_lacks_is_said() -> None:
    with pytest.raises(ValueError, match="needs labels, and the batch has none"):
        labels_of(step())
    with pytest.raises(ValueError, match="learns from a teacher, and the run has none"):
        teacher_outputs(step())
    Setting(1, 3, Outputs(torch.zeros(2, 3)), None)
