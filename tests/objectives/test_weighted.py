from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from preceptor.objectives.base import BuildContext, Objective, Taps
from preceptor.objectives.schedules import Linear, WarmUp
from preceptor.objectives.weighted import Sum, renormalise, total
from preceptor.types import Batch, Outputs, Progress, Step, View


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


def step(epoch: int = 1) -> Step:
    batch = Batch(torch.zeros(2, 3), None, torch.arange(2), View("none", 0, epoch))
    return Step(batch, Outputs(torch.zeros(2, 3)), None, nn.Identity(), Progress(epoch, 4, 0.0))


def test_the_sum_adds_weighted_terms_and_follows_schedules() -> None:
    objective = Sum(a=(2.0, Constant(3.0)), b=(Linear(1.0), Constant(8.0)))
    assert {k: v.item() for k, v in objective.terms(step()).items()} == {"a": 3.0, "b": 8.0}
    assert objective.loss(step(epoch=1)).item() == 2 * 3 + 8 / 4
    assert objective.loss(step(epoch=4)).item() == 2 * 3 + 8


def test_a_term_whose_schedule_says_0_runs_but_its_infinity_does_not_count() -> None:
    silent = Constant(float("inf"))
    objective = Sum(a=(1.0, Constant(3.0)), b=(WarmUp(0.0, 3), silent))
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
    assert objective.taps({}, {}) == Taps(("block1", "pooled", "layer.3"), ("block2",))
    assert objective.notes() == ("a: value 1.0", "b: value 2.0")


def test_sums_nest() -> None:
    inner = Sum(a=(2.0, Constant(1.0)), b=(3.0, Constant(1.0)))
    assert Sum(inner=(0.5, inner), c=(1.0, Constant(1.0))).loss(step()).item() == 3.5


class NumRows(Objective):
    """Returns the number of rows of the step."""

    def __init__(self, needs_labels: bool, needs_samples: bool) -> None:
        super().__init__()
        self.needs_labels, self.needs_samples = needs_labels, needs_samples

    def loss(self, step: Step) -> Tensor:
        assert len(step.student.logits) == len(step.batch.inputs)
        return torch.tensor(float(len(step.student.logits)))


def test_each_term_gets_the_rows_it_can_be_applied_to() -> None:
    """Five rows: one with a label, two more that show samples, two beyond them."""
    batch = Batch(torch.zeros(5, 3), torch.tensor([0]), torch.arange(3), View("none", 0, 1))
    full_step = Step(batch, Outputs(torch.zeros(5, 3)), None, nn.Identity(), Progress(1, 4, 0.0))
    objective = Sum(
        all=(1.0, NumRows(False, False)),
        labels=(1.0, NumRows(True, False)),
        samples=(1.0, NumRows(False, True)),
        both=(1.0, NumRows(True, True)),
    )
    assert {name: value.item() for name, value in objective.terms(full_step).items()} == {
        "all": 5.0,
        "labels": 1.0,
        "samples": 3.0,
        "both": 1.0,
    }
    mixed = replace(full_step, batch=replace(batch, labels=None, index=batch.index[:0]))
    assert list(objective.terms(mixed)) == ["all"]


def test_a_term_counts_by_the_rows_it_is_applied_to() -> None:
    """Of 8 rows in two passes, 3 have labels and 6 show samples; this pass has 4, 2 and 3 of them."""
    batch = Batch(torch.zeros(4, 3), torch.tensor([0, 1]), torch.arange(3), View("none", 0, 1))
    batch = replace(batch, share=1.0, labelled_share=2 * 2 / 3, sample_share=2 * 3 / 6)
    full_step = Step(batch, Outputs(torch.zeros(4, 3)), None, nn.Identity(), Progress(1, 4, 0.0))
    objective = Sum(
        all=(1.0, NumRows(False, False)),
        labels=(1.0, NumRows(True, False)),
        samples=(1.0, NumRows(False, True)),
        both=(1.0, NumRows(True, True)),
    )
    assert {name: value.item() for name, value in objective.terms(full_step).items()} == pytest.approx(
        {"all": 4.0, "labels": 2 * 4 / 3, "samples": 3.0, "both": 2 * 4 / 3}
    )


def test_terms_that_compare_rows_get_the_gathered_step_and_no_other_gathers_it() -> None:
    batch = Batch(torch.zeros(2, 3), None, torch.arange(2), View("none", 0, 1))
    own_step = Step(batch, Outputs(torch.zeros(2, 3)), None, nn.Identity(), Progress(1, 4, 0.0))
    comparing, idle = NumRows(False, False), NumRows(False, False)
    comparing.compares_rows = idle.compares_rows = True
    gathered = []

    def gather(step: Step) -> Step:
        gathered.append(step)
        return replace(step, batch=replace(batch, inputs=torch.zeros(5, 3)), student=Outputs(torch.zeros(5, 3)))

    objective = Sum(own=(1.0, NumRows(False, False)), all=(1.0, comparing), again=(1.0, comparing), idle=(0.0, idle))
    assert {name: value.item() for name, value in objective.terms(own_step, gather).items()} == {
        "own": 2,
        "all": 5,
        "again": 5,
    }
    assert len(gathered) == 1
    Sum(own=(1.0, NumRows(False, False)), idle=(0.0, idle)).terms(own_step, gather)
    assert len(gathered) == 1
    assert Sum(inner=(1.0, objective)).terms(own_step, gather)["inner"].item() == 15


def test_a_sum_within_a_sum_needs_what_all_its_terms_need() -> None:
    inner = Sum(a=(1.0, NumRows(True, False)), b=(1.0, NumRows(True, True)))
    assert inner.needs_labels
    assert not inner.needs_samples


def test_weights_are_renormalised_in_proportion() -> None:
    weights = {"cross_entropy": 1.0, "kd": 1.0, "at": 2.0}
    assert renormalise(weights, ["kd", "at"]) == pytest.approx({"kd": 4 / 3, "at": 8 / 3})
    assert renormalise(weights, weights) == weights
    with pytest.raises(ValueError, match="add up to 0"):
        renormalise({"kd": 0.0, "cross_entropy": 1.0}, ["kd"])


class Trained(Objective):
    """A term with a parameter and an attribute that `build` sets."""

    built_for: int = 0

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def loss(self, step: Step) -> Tensor:
        return self.value * 1.0

    def build(self, context: BuildContext) -> None:
        self.built_for = context.num_samples


def test_state_and_building_reach_nested_terms_by_name() -> None:
    inner, outer = Trained(1.0), Trained(2.0)
    nested = Sum(inner=(0.5, Sum(deep=(1.0, inner))), outer=(1.0, outer))
    nested.build(BuildContext(7, 3, Outputs(torch.zeros(2, 3)), None))
    assert (inner.built_for, outer.built_for) == (7, 7)
    assert list(nested.state_dict()) == ["objectives.inner.objectives.deep.value", "objectives.outer.value"]
    assert [name for name, _ in nested.named_terms()] == ["inner", "outer"]


def test_an_infinite_term_without_weight_leaves_gradients_clean() -> None:
    good, bad = Trained(3.0), Trained(math.inf)
    Sum(good=(1.0, good), bad=(0.0, bad)).loss(step()).backward()
    assert good.value.grad is not None
    assert good.value.grad.item() == 1.0
    assert bad.value.grad is None
