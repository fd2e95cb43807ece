from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.reviewkd import Fusion, ReviewKD, reviewkd_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_map, offer


def test_definition() -> None:
    student, teacher = closed_form_map(3, 3, 5, 0.1), closed_form_map(3, 3, 5, 0.8)
    total, weights = (student - teacher).square().mean(), 1.0
    for side, weight in ((2, 0.5), (1, 0.25)):  # 4 is not below the height 3
        pooled = [functional.adaptive_avg_pool2d(maps, (side, side)) for maps in (student, teacher)]
        total, weights = total + weight * (pooled[0] - pooled[1]).square().mean(), weights + weight
    assert reviewkd_loss([student], [teacher]).item() == pytest.approx(float(total) / weights, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("reviewkd", number, reviewkd_loss)


def test_tabulated() -> None:
    s1, t1, s2, t2 = (closed_form_map(6, n, n, phase) for n, phase in ((4, 0.1), (4, 0.8), (2, 0.3), (2, 1.1)))
    assert reviewkd_loss([s1], [t1]).item() == pytest.approx(0.2086808048, rel=1e-8)
    assert reviewkd_loss([s1, s2], [t1, t2]).item() == pytest.approx(0.4904810769, rel=1e-8)


def test_by_hand() -> None:
    """Differences 1 and -1 in a 1 x 1 x 2 x 1 map cancel when pooled: (1 + 0) / 1.5."""
    assert reviewkd_loss([torch.tensor([[[[1.0], [-1.0]]]])], [torch.zeros(1, 1, 2, 1)]).item() == pytest.approx(2 / 3)


def test_a_constant_difference_is_its_square_at_every_size() -> None:
    maps = closed_form_map(2, 9, 9, 0.1)
    assert reviewkd_loss([maps + 3], [maps]).item() == pytest.approx(9)


def test_gradcheck() -> None:
    student, teacher = closed_form_map(2, 3, 3, 0.1), closed_form_map(2, 3, 3, 0.8)
    assert torch.autograd.gradcheck(lambda maps: reviewkd_loss([maps], [teacher]), student.requires_grad_())


def test_fusion_weighs_a_map_against_the_deeper_one_and_resizes() -> None:
    torch.manual_seed(0)
    fusion = Fusion(5, 4, (7, 6, 3), is_deepest=False).eval()
    maps, deeper = torch.randn(2, 5, 4, 2), torch.randn(2, 4, 2, 1)
    output, passed_on = fusion(maps, deeper)
    narrow = fusion.narrow(maps)
    below = deeper.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert fusion.attention is not None
    shares = fusion.attention(torch.cat([narrow, below], 1))
    mixed = narrow * shares[:, 0:1] + below * shares[:, 1:2]
    expected = functional.interpolate(mixed, size=(6, 3), mode="nearest")
    torch.testing.assert_close(passed_on, expected)
    torch.testing.assert_close(output, fusion.widen(expected))
    assert output.shape == (2, 7, 6, 3)


def built() -> tuple[ReviewKD, Outputs, Outputs]:
    torch.manual_seed(0)
    objective = ReviewKD(mid_channels=8)
    student, teacher = offer("block1", "block2", "pooled"), offer("block1_preact", "block2_preact", "pooled")
    taps = objective.taps(student, teacher)
    assert taps == Taps(("block1", "block2", "pooled"), ("block1_preact", "block2_preact", "pooled"))
    sides = []
    for names, channels in ((taps.student, 4), (taps.teacher, 6)):
        maps = {names[0]: torch.randn(3, channels, 8, 8), names[1]: torch.randn(3, 2 * channels, 4, 4)}
        sides.append(Outputs(torch.zeros(3, 5), {**maps, "pooled": torch.randn(3, 2 * channels)}))
    objective.build(BuildContext(10, 5, sides[0], sides[1]))
    return objective, sides[0], sides[1]


def test_fusions_are_built_from_the_shapes_seen_and_train() -> None:
    objective, student_outputs, teacher_outputs = built()
    assert [fusion.attention is None for fusion in objective.fusions] == [True, False, False]  # type: ignore[union-attr]
    maps = [
        [*(f for n, f in side.features.items() if n != "pooled"), side.features["pooled"][:, :, None, None]]
        for side in (student_outputs, teacher_outputs)
    ]
    objective(*maps).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in objective.parameters())
    size = sum(p.numel() for p in objective.parameters())
    assert objective.notes()[1] == f"fusions of {size:,} parameters, trained with the student"


def test_a_batch_of_one_is_skipped_in_training_alone() -> None:
    """The last batch of an epoch may be one: a pooled feature then has no variance to be normalised by."""
    objective, student_outputs, teacher_outputs = built()
    maps = [
        [*(f[:1] for n, f in side.features.items() if n != "pooled"), side.features["pooled"][:1, :, None, None]]
        for side in (student_outputs, teacher_outputs)
    ]
    maps[0][0].requires_grad_()
    with pytest.warns(UserWarning, match="reviewkd skips a batch of one"):
        value = objective(*maps)
    value.backward()
    assert value.item() == 0
    assert maps[0][0].grad is not None
    assert maps[0][0].grad.abs().sum() == 0
    assert objective.eval()(*maps).item() > 0


def test_errors() -> None:
    maps = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="equal, at least one"):
        reviewkd_loss([], [])
    with pytest.raises(ValueError, match=r"shapes \[\(1, 1, 2, 2\)\] and \[\(1, 1, 4, 4\)\]"):
        reviewkd_loss([maps], [torch.zeros(1, 1, 4, 4)])
    objective, student_outputs, _ = built()
    with pytest.raises(UsageError, match="learns from a teacher, and the run has none"):
        objective.build(BuildContext(10, 5, student_outputs, None))
    with pytest.raises(ValueError, match="mid_channels: 0 is below 1"):
        ReviewKD(mid_channels=0)
    with pytest.raises(
        UsageError, match="reviewkd needs feature maps before the last ReLU, and the teacher offers block1"
    ):
        ReviewKD().taps(offer("block1", "pooled"), offer("block1", "pooled"))
    with pytest.raises(UsageError, match="reviewkd needs feature pooled of the student"):
        ReviewKD().taps(offer("block1"), offer("block1_preact", "pooled"))
