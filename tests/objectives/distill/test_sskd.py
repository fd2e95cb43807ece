from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.kd import kd_loss
from preceptor.objectives.distill.sskd import SSKD, sskd_loss, sskd_ss_loss, sskd_tf_loss
from preceptor.objectives.rotations import ROTATIONS
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import assert_golden, offer


def logits(rows: int, classes: int, seed: int) -> Tensor:
    return 2 * torch.randn(rows, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def kept_rows(teacher: Tensor, labels: list[int], keep_ratio: float) -> list[int]:
    """Python's own stable sort: all that are right, and the best ranked of the others."""
    ranks = []
    for row, label in zip(teacher.tolist(), labels, strict=True):
        order = sorted(range(len(row)), key=lambda c: -row[c])
        ranks.append(order.index(label))
    wrong = [k for k, rank in enumerate(ranks) if rank > 0]
    chosen = sorted(wrong, key=lambda k: ranks[k])[: math.floor(keep_ratio * len(wrong))]
    return [k for k, rank in enumerate(ranks) if rank == 0] + chosen


@pytest.mark.parametrize("keep_ratio", [0.0, 0.5, 0.75, 1.0])
def test_definition_of_transformed(keep_ratio: float) -> None:
    student, teacher = logits(12, 5, 0), logits(12, 5, 1)
    labels = [k % 5 for k in range(12)]
    kept = kept_rows(teacher, labels, keep_ratio)
    assert 0 < len(kept) <= 12
    value = sskd_tf_loss(student, teacher, torch.tensor(labels), keep_ratio=keep_ratio)
    assert value.item() == pytest.approx(kd_loss(student[kept], teacher[kept]).item(), rel=1e-10)


@pytest.mark.parametrize("keep_ratio", [0.5, 1.0])
def test_definition_of_similarity(keep_ratio: float) -> None:
    student, teacher = logits(16, 5, 0), logits(16, 7, 1)

    def cosines(rows: Tensor) -> Tensor:
        table = []
        for i in range(4):
            for turn in (1, 2, 3):
                a = rows[4 * i + turn]
                table.append([float(a @ rows[4 * j] / (a.norm() * rows[4 * j].norm())) for j in range(4)])
        return torch.tensor(table, dtype=torch.float64)

    mine, its = cosines(student), cosines(teacher)
    kept = kept_rows(its, [i for i in range(4) for _ in range(3)], keep_ratio)
    value = sskd_ss_loss(student, teacher, keep_ratio=keep_ratio)
    assert value.item() == pytest.approx(kd_loss(mine[kept], its[kept], temperature=0.5).item(), rel=1e-8)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("sskd_tf", number, sskd_tf_loss)
    assert_golden("sskd_ss", number, sskd_ss_loss)


def test_by_hand() -> None:
    """Of four rows two are right; of the wrong ones the one with the label second is kept at one half."""
    teacher = torch.tensor([[9.0, 0, 0], [0, 9.0, 0], [9.0, 1.0, 0], [9.0, 1.0, 0]])
    student = teacher.clone()
    student[3] = torch.tensor([0.0, 0.0, 9.0])  # the only row that differs, and its label is the teacher's third
    labels = torch.tensor([0, 1, 1, 2])
    assert sskd_tf_loss(student, teacher, labels, keep_ratio=0.5).item() == 0
    assert sskd_tf_loss(student, teacher, labels, keep_ratio=1.0).item() > 0
    sure, uniform = torch.tensor([[200.0, 0.0], [0.0, 200.0]]), torch.zeros(2, 2)
    labels = torch.tensor([0, 0])  # the teacher is right of the first row alone: log 2 a row, however many are kept
    for keep_ratio in (0.0, 1.0):
        value = sskd_tf_loss(uniform, sure, labels, temperature=1.0, keep_ratio=keep_ratio)
        assert value.item() == pytest.approx(0.693147, rel=1e-5)
    value = sskd_tf_loss(torch.stack([sure[0], uniform[1]]), sure, labels, temperature=2.0, keep_ratio=1.0)
    assert value.item() == pytest.approx(4 * 0.693147 / 2, rel=1e-5)  # temperature^2, mean over the two kept


def test_zero_where_student_and_teacher_are_equal() -> None:
    same, rows, labels = logits(12, 5, 1), logits(16, 7, 1), torch.arange(12) % 5
    for keep_ratio in (0.0, 0.75, 1.0):
        assert abs(sskd_tf_loss(same, same, labels, keep_ratio=keep_ratio).item()) < 1e-12
        assert abs(sskd_ss_loss(rows, rows, keep_ratio=keep_ratio).item()) < 1e-12


def test_the_sum() -> None:
    mine, its, labels = logits(3, 5, 0), logits(3, 5, 1), torch.arange(3)
    rows, others = logits(4, 6, 2), logits(4, 7, 3)
    expected = 2 * sskd_tf_loss(mine, its, labels, keep_ratio=0.75) + 3 * sskd_ss_loss(rows, others)
    value = sskd_loss(mine, its, labels, rows, others, transformed_weight=2, similarity_weight=3, transformed_keep=0.75)
    torch.testing.assert_close(value, expected)


def test_lengths_of_embeddings_do_not_matter() -> None:
    student, teacher = logits(8, 5, 0), logits(8, 5, 1)
    scales = torch.rand(8, 1, dtype=torch.float64) + 0.1
    torch.testing.assert_close(sskd_ss_loss(scales * student, teacher), sskd_ss_loss(student, teacher))


def test_the_order_of_the_images_matters_only_where_a_share_of_equal_ranks_is_cut_off() -> None:
    student, teacher = logits(32, 5, 0), logits(32, 7, 1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    turned = (4 * order[:, None] + torch.arange(4)).flatten()
    for keep_ratio in (0.0, 1.0):
        value = sskd_ss_loss(student[turned], teacher[turned], keep_ratio=keep_ratio)
        torch.testing.assert_close(value, sskd_ss_loss(student, teacher, keep_ratio=keep_ratio))
    wrong, labels = torch.tensor([[0.0, 9.0], [0.0, 9.0]]), torch.tensor([0, 0])  # of equal rank: the earlier is kept
    student = torch.stack([wrong[0], torch.zeros(2)])
    assert sskd_tf_loss(student, wrong, labels, keep_ratio=0.5).item() == 0
    assert sskd_tf_loss(student.flip(0), wrong, labels, keep_ratio=0.5).item() > 1


def test_gradcheck() -> None:
    student, teacher = logits(8, 5, 0), logits(8, 7, 1)
    assert torch.autograd.gradcheck(lambda rows: sskd_ss_loss(rows, teacher), student.requires_grad_())


def built(transformed_keep: float = 1.0) -> tuple[SSKD, Step]:
    torch.manual_seed(0)
    objective = SSKD(transformed_keep=transformed_keep, stage_epochs=4)
    objective.taps(offer("pooled"), offer("pooled"))

    def draw(dim: int, spread: float) -> Outputs:
        base = torch.randn(6, dim)

        def draw_view() -> Outputs:
            return Outputs(torch.randn(6, 5), {"pooled": base + spread * torch.randn(6, dim)})

        plain = draw_view()
        return Outputs(plain.logits, plain.features, {name: draw_view() for name in ROTATIONS})

    student, teacher = draw(8, 0.3), draw(10, 0.3)
    objective.build(BuildContext(10, 5, student, teacher))
    batch = Batch(torch.zeros(6, 1), torch.arange(6) % 5, torch.arange(6), View("none", 0, 1))
    return objective, Step(batch, student, teacher, torch.nn.Identity(), Progress(1, 1, 0.0))


def test_the_class_takes_rotated_logits_and_embeddings_image_by_image() -> None:
    objective, step = built(transformed_keep=0.5)
    assert step.teacher is not None
    labels = [0, 1, 2, 3, 4, 0] * 3
    mine, its = (torch.cat([side.views[name].logits for name in ROTATIONS]) for side in (step.student, step.teacher))
    assert len(kept_rows(its, labels, 0.0)) < len(kept_rows(its, labels, 0.5)) < 18  # so that labels and ties matter

    def image_by_image(side: Outputs) -> Tensor:
        views = [side, *(side.views[name] for name in ROTATIONS)]
        return torch.stack([view.features["pooled"][image] for image in range(6) for view in views])

    projected = objective.student_head(image_by_image(step.student))
    target = objective.teacher_head(image_by_image(step.teacher))
    expected = sskd_loss(mine, its, torch.tensor(labels), projected, target, transformed_keep=0.5)
    torch.testing.assert_close(objective.loss(step), expected)
    stage = objective.pretraining()
    assert stage is not None
    unit = functional.normalize(target)
    total = torch.zeros(())
    for image in range(6):
        for turn in (1, 2, 3):
            cosines = torch.stack([unit[4 * image + turn] @ unit[4 * other] for other in range(6)])
            total = total - torch.log_softmax(cosines, 0)[image] / 18
    torch.testing.assert_close(stage.objective.loss(step), total)


def test_the_teachers_head_learns_in_its_stage_and_is_frozen_after_it() -> None:
    objective, step = built()
    stage = objective.pretraining()
    assert stage is not None
    assert (stage.epochs, stage.trains, stage.lr, stage.milestones) == (4, "objective", 0.05, (0.5, 0.75))
    optimizer = torch.optim.SGD(stage.objective.parameters(), lr=0.5)
    losses = []
    for _ in range(20):
        loss = stage.objective.loss(step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    objective.zero_grad()
    objective.loss(step).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in objective.teacher_head.parameters())
    assert all(p.grad is not None for p in objective.student_head.parameters())


def test_it_asks_for_three_rotations() -> None:
    assert SSKD().views() == ("rotated_90", "rotated_180", "rotated_270")


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"keep_ratio: 1\.5 is not in \[0, 1\]"):
        sskd_tf_loss(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]), keep_ratio=1.5)
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        sskd_ss_loss(torch.zeros(4, 2), torch.zeros(4, 2), temperature=0)
    with pytest.raises(ValueError, match="similarity_temperature: -1 is not above 0"):
        SSKD(similarity_temperature=-1)
    with pytest.raises(ValueError, match="embedding: 6 rows are not four per image"):
        sskd_ss_loss(torch.zeros(6, 2), torch.zeros(6, 2))
    with pytest.raises(ValueError, match=r"transformed_keep: 1\.5 is not in \[0, 1\]"):
        SSKD(transformed_keep=1.5)
    with pytest.raises(ValueError, match=r"similarity_keep: -0\.1 is not in \[0, 1\]"):
        SSKD(similarity_keep=-0.1)
    with pytest.raises(ValueError, match="stage_epochs: -1 is below 0"):
        SSKD(stage_epochs=-1)
    with pytest.raises(UsageError, match="sskd needs feature pooled of the teacher"):
        SSKD().taps(offer("pooled"), {})
