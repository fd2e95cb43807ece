from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from preceptor.models import save_weights
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.hsakd import HSAKD, hsakd_loss
from preceptor.objectives.distill.kd import kd_loss
from preceptor.objectives.rotations import HSAKD_HEADS, ROTATIONS, BlockClassifiers
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import offer


def logits(rows: int, classes: int, seed: int) -> Tensor:
    return 2 * torch.randn(rows, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_definition() -> None:
    student, teacher = logits(8, 5, 0), logits(8, 5, 1)
    mine, its = [logits(8, 20, k) for k in (2, 3)], [logits(8, 20, k) for k in (4, 5)]
    total = 0.0
    for s, t in [(student, teacher), *zip(mine, its, strict=True)]:
        p, q = (torch.softmax(z / 3, 1) for z in (s, t))
        total += 9 * float((q * (q.log() - p.log())).sum()) / 8
    assert hsakd_loss(student, teacher, mine, its).item() == pytest.approx(total, rel=1e-10)


def test_without_heads_it_is_kd() -> None:
    student, teacher = logits(8, 5, 0), logits(8, 5, 1)
    torch.testing.assert_close(
        hsakd_loss(student, teacher, [], [], temperature=2.0), kd_loss(student, teacher, temperature=2.0)
    )


def test_by_hand() -> None:
    """Uniform against sure, of 4 joint classes: log 4 each for one head, 0 for the classes."""
    sure = torch.tensor([[200.0, 0.0, 0.0, 0.0]])
    value = hsakd_loss(torch.zeros(1, 2), torch.zeros(1, 2), [torch.zeros(1, 4)], [sure], temperature=1.0)
    assert value.item() == pytest.approx(1.386294, rel=1e-6)


def test_gradcheck() -> None:
    student, teacher, mine, its = logits(4, 3, 0), logits(4, 3, 1), logits(4, 12, 2), logits(4, 12, 3)
    assert torch.autograd.gradcheck(
        lambda z, joint: hsakd_loss(z, teacher, [joint], [its]), (student.requires_grad_(), mine.requires_grad_())
    )


def built(temperature: float = 3.0) -> tuple[HSAKD, Step]:
    torch.manual_seed(0)
    objective = HSAKD(temperature, stage_epochs=4)
    names = offer("block1", "block2")
    objective.taps(names, names)

    def draw(channels: int) -> Outputs:
        def draw_view() -> Outputs:
            maps = {"block1": torch.randn(6, channels, 8, 8), "block2": torch.randn(6, 2 * channels, 4, 4)}
            return Outputs(torch.randn(6, 5), maps)

        plain = draw_view()
        return Outputs(plain.logits, plain.features, {name: draw_view() for name in ROTATIONS})

    student, teacher = draw(4), draw(6)
    objective.build(BuildContext(10, 5, student, teacher))
    batch = Batch(torch.zeros(6, 1), torch.arange(6) % 5, torch.arange(6), View("none", 0, 1))
    return objective, Step(batch, student, teacher, torch.nn.Identity(), Progress(1, 1, 0.0))


def test_the_class_compares_all_four_views_at_every_level() -> None:
    objective, step = built(temperature=2.0)
    objective.eval()
    assert step.teacher is not None
    stacked: list[tuple[Tensor, list[Tensor]]] = []
    for side, heads in ((step.student, objective.student_heads), (step.teacher, objective.teacher_heads)):
        views = [side, *(side.views[name] for name in ROTATIONS)]
        rows = [heads([view.features[name] for name in ("block1", "block2")]) for view in views]
        joint = [torch.cat(level) for level in zip(*rows, strict=True)]
        stacked.append((torch.cat([view.logits for view in views]), joint))
    (mine, mine_joint), (its, its_joint) = stacked
    expected = hsakd_loss(mine, its, mine_joint, its_joint, temperature=2.0)
    torch.testing.assert_close(objective.loss(step), expected)


def test_the_stage_learns_class_and_rotation_on_the_teachers_maps() -> None:
    objective, step = built()
    stage = objective.pretraining()
    assert stage is not None
    assert (stage.epochs, stage.trains, stage.lr, stage.milestones) == (4, "objective", 0.05, (0.3, 0.6, 0.9))
    assert step.teacher is not None
    views = [step.teacher, *step.teacher.views.values()]
    heads = objective.teacher_heads.eval()
    total = torch.zeros(())
    for level, name in enumerate(("block1", "block2")):
        rows = [heads([view.features[n] for n in ("block1", "block2")])[level] for view in views]
        joint = torch.cat([4 * torch.tensor([0, 1, 2, 3, 4, 0]) + turn for turn in range(4)])
        total = total + functional.cross_entropy(torch.cat(rows), joint)
        assert rows[0].shape == (6, 20), name
    torch.testing.assert_close(stage.objective.loss(step), total)
    objective.loss(step)  # puts the classifiers in eval mode; the stage's own train() takes them out of it
    before = {name: value.clone() for name, value in heads.named_buffers() if "running" in name}
    optimizer = torch.optim.SGD(stage.objective.train().parameters(), lr=0.1)
    losses = []
    for _ in range(10):
        loss = stage.objective.loss(step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    moved = dict(heads.named_buffers())
    assert all(not torch.equal(value, moved[name]) for name, value in before.items())


def test_the_teachers_classifiers_are_frozen_with_their_batch_norms_in_the_run_proper() -> None:
    objective, step = built()
    before = {name: value.clone() for name, value in objective.teacher_heads.state_dict().items()}
    objective.train()
    objective.loss(step).backward()  # type: ignore[no-untyped-call]
    assert all(torch.equal(value, before[name]) for name, value in objective.teacher_heads.state_dict().items())
    assert all(p.grad is None for p in objective.teacher_heads.parameters())
    assert all(p.grad is not None for p in objective.student_heads.parameters())


def test_errors() -> None:
    joint = torch.zeros(1, 8)
    with pytest.raises(ValueError, match="student_heads and teacher_heads: 1 and 2 levels"):
        hsakd_loss(torch.zeros(1, 2), torch.zeros(1, 2), [joint], [joint, joint])
    with pytest.raises(ValueError, match="temperature: 0 is not above 0"):
        HSAKD(temperature=0)
    with pytest.raises(ValueError, match="stage_epochs: -1 is below 0"):
        HSAKD(stage_epochs=-1)


def test_the_classifiers_that_a_teacher_brings_are_those_of_the_paired_blocks(tmp_path: Path) -> None:
    """The teacher has three blocks, the student two, of the resolutions of the first and the third."""
    shapes = {"block1": (4, 16, 16), "block2": (6, 8, 8), "block3": (8, 4, 4)}
    full = BlockClassifiers([*shapes.values()], 12).eval()
    save_weights(full, tmp_path / "heads.safetensors")
    teacher = Outputs(torch.zeros(2, 3), {name: torch.randn(2, *shape) for name, shape in shapes.items()})
    mine = {"block1": (2, 16, 16), "block2": (2, 4, 4)}
    student = Outputs(torch.zeros(2, 3), {name: torch.randn(2, *shape) for name, shape in mine.items()})
    objective = HSAKD()
    objective.taps(mine, shapes)
    assert objective.pairing.pairs == (("block1", "block1"), ("block2", "block3"))
    objective.build(BuildContext(2, 3, student, teacher, teacher_files={HSAKD_HEADS: tmp_path / "heads.safetensors"}))
    maps = [*teacher.features.values()]
    found, expected = objective.teacher_heads.eval()([maps[0], maps[2]]), full(maps)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[2])
    assert objective.pretraining() is None
    assert objective.notes()[-1] == "the teacher brings its classifiers"
