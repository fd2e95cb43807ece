from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.ft import FT, ft_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import assert_golden, closed_form_map, offer


@pytest.mark.parametrize("power", [1, 2])
def test_definition(power: int) -> None:
    student, teacher = closed_form_map(3, 2, 2, 0.1), closed_form_map(5, 2, 2, 0.8)
    total = 0.0
    for b in range(4):
        patterns = []
        for maps in (student, teacher):
            q = [sum(float(maps[b, c, u, v]) ** 2 for c in range(maps.shape[1])) for u in range(2) for v in range(2)]
            length = sum(value**2 for value in q) ** 0.5
            patterns.append([value / length for value in q])
        total += sum(abs(s - t) ** power for s, t in zip(*patterns, strict=True))
    assert ft_loss(student, teacher, power=power).item() == pytest.approx(total / 16, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("ft", number, ft_loss)


def test_tabulated() -> None:
    value = ft_loss(closed_form_map(6, 4, 4, 0.1), closed_form_map(6, 4, 4, 0.8))
    assert value.item() == pytest.approx(0.02295473875, rel=1e-8)


def test_by_hand() -> None:
    value = ft_loss(torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[1.0, 1.0]]]]))
    assert value.item() == pytest.approx(((1 - 2**-0.5) + 2**-0.5) / 2, rel=1e-6)


def test_scale_of_a_sample_does_not_matter_and_the_larger_is_pooled() -> None:
    student, teacher = closed_form_map(3, 4, 4, 0.1), closed_form_map(3, 2, 2, 0.8)
    pooled = functional.adaptive_avg_pool2d(student, (2, 2))
    torch.testing.assert_close(ft_loss(9 * student, teacher), ft_loss(pooled, teacher))


def test_gradcheck() -> None:
    student, teacher = closed_form_map(2, 2, 3, 0.1), closed_form_map(3, 2, 3, 0.8)
    assert torch.autograd.gradcheck(lambda maps: ft_loss(maps, teacher), student.requires_grad_())


def built(stage_epochs: int = 2) -> tuple[FT, Step]:
    torch.manual_seed(0)
    objective = FT(stage_epochs=stage_epochs)
    names = offer("block1", "block2")
    objective.taps(names, names)
    student_outputs, teacher_outputs = (
        Outputs(torch.zeros(4, 3), {"block1": torch.randn(4, 5, 8, 8), "block2": torch.randn(4, c, 4, 4).relu()})
        for c in (6, 10)
    )
    objective.build(BuildContext(10, 3, student_outputs, teacher_outputs))
    batch = Batch(torch.zeros(4, 1), None, torch.arange(4), View("none", 0, 1))
    return objective, Step(batch, student_outputs, teacher_outputs, torch.nn.Identity(), Progress(1, 1, 0.0))


def test_half_the_teachers_channels_are_its_factors() -> None:
    objective, step = built()
    assert step.teacher is not None
    assert objective.paraphraser(step.teacher.features["block2"]).shape == (4, 5, 4, 4)
    assert objective.translator(step.student.features["block2"]).shape == (4, 5, 4, 4)
    assert not any("BatchNorm" in type(layer).__name__ for layer in objective.paraphraser.modules())


def test_the_paraphraser_learns_in_its_stage_and_is_frozen_after_it() -> None:
    objective, step = built()
    stage = objective.pretraining()
    assert stage is not None
    assert (stage.trains, stage.epochs, stage.lr) == ("objective", 2, 0.01)
    optimizer = torch.optim.SGD(stage.objective.parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        loss = stage.objective.loss(step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    objective.zero_grad()
    objective.loss(step).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in objective.paraphraser.parameters())
    assert all(p.grad is not None for p in objective.translator.parameters())


def test_without_a_stage_nothing_is_prepared() -> None:
    objective, _ = built(stage_epochs=0)
    assert objective.pretraining() is None
    assert objective.notes()[1:] == ("no stage: the paraphraser stays as it was drawn at random",)


def test_the_last_maps_or_the_users() -> None:
    names = offer("stem", "block1", "block2", "pooled")
    objective = FT()
    assert objective.taps(names, names) == Taps(("block2",), ("block2",))
    assert objective.notes() == ("pairs block2 -> block2 (student -> teacher)",)
    assert FT(pairs={"layer3": "blocks.5"}).taps({}, {}) == Taps(("layer3",), ("blocks.5",))


def test_tokens_of_the_teacher_are_paraphrased_on_their_grid() -> None:
    objective = FT(pairs={"layer3": "blocks.5"})
    objective.taps({}, {})
    student_outputs = Outputs(torch.zeros(2, 3), {"layer3": torch.randn(2, 6, 4, 4)})
    teacher_outputs = Outputs(torch.zeros(2, 3), {"blocks.5": torch.randn(2, 17, 8)})
    objective.build(BuildContext(10, 3, student_outputs, teacher_outputs))
    batch = Batch(torch.zeros(2, 1), None, torch.arange(2), View("none", 0, 1))
    step = Step(batch, student_outputs, teacher_outputs, torch.nn.Identity(), Progress(1, 1, 0.0))
    stage = objective.pretraining()
    assert stage is not None
    assert torch.isfinite(stage.objective.loss(step))
    assert torch.isfinite(objective.loss(step))


def test_the_stage_shares_its_modules_and_adds_no_state() -> None:
    objective, _ = built()
    before = list(objective.state_dict())
    stage = objective.pretraining()
    assert stage is not None
    assert list(objective.state_dict()) == before
    mine = {id(p) for p in objective.parameters()}
    assert {id(p) for p in stage.objective.parameters()} < mine


def test_errors() -> None:
    with pytest.raises(ValueError, match="pairs: ft takes one pair, got 2"):
        FT(pairs={"a": "b", "c": "d"})
    with pytest.raises(ValueError, match="rate: 0 is not above 0"):
        FT(rate=0)
    with pytest.raises(ValueError, match="power: unknown '3'; there are 1, 2"):
        FT(power=3)
    with pytest.raises(ValueError, match="stage_epochs: -1 is below 0"):
        FT(stage_epochs=-1)
    with pytest.raises(ValueError, match="stage_lr: 0 is not above 0"):
        FT(stage_lr=0)
