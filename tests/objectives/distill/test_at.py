from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.at import AT, at_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_map, offer


def test_definition() -> None:
    student, teacher = closed_form_map(3, 2, 2, 0.1), closed_form_map(5, 2, 2, 0.8)
    total = 0.0
    for b in range(4):
        attention = []
        for maps in (student, teacher):
            q = [
                sum(float(maps[b, c, u, v]) ** 2 for c in range(maps.shape[1])) / maps.shape[1]
                for u in range(2)
                for v in range(2)
            ]
            length = sum(value**2 for value in q) ** 0.5
            attention.append([value / length for value in q])
        total += sum((s - t) ** 2 for s, t in zip(*attention, strict=True)) / (4 * 4)
    assert at_loss([student], [teacher]).item() == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("at", number, at_loss)


def test_tabulated() -> None:
    s1, t1, wide = closed_form_map(6, 4, 4, 0.1), closed_form_map(6, 4, 4, 0.8), closed_form_map(8, 4, 4, 0.8)
    s2, t2 = closed_form_map(6, 2, 2, 0.3), closed_form_map(6, 2, 2, 1.1)
    assert at_loss([s1], [wide]).item() == pytest.approx(0.0004775177284, rel=1e-8)
    assert at_loss([s1, s2], [t1, t2]).item() == pytest.approx(0.002212582361, rel=1e-8)


def test_by_hand() -> None:
    """One channel, (1, 0) against (1, 1): normalised squares (1, 0) and (1, 1) / sqrt 2."""
    value = at_loss([torch.tensor([[[[1.0, 0.0]]]])], [torch.tensor([[[[1.0, 1.0]]]])])
    assert value.item() == pytest.approx(((1 - 2**-0.5) ** 2 + 0.5) / 2, rel=1e-6)


def test_scale_of_a_sample_does_not_matter() -> None:
    student, teacher = closed_form_map(3, 4, 4, 0.1), closed_form_map(3, 4, 4, 0.8)
    scales = torch.tensor([0.1, 1.0, 7.0, 100.0]).double()[:, None, None, None]
    torch.testing.assert_close(at_loss([scales * student], [teacher]), at_loss([student], [teacher]))


def test_the_larger_side_is_pooled_height_and_width_apart() -> None:
    student, teacher = closed_form_map(3, 4, 2, 0.1), closed_form_map(3, 2, 4, 0.8)
    pooled = [functional.adaptive_avg_pool2d(maps, (2, 2)) for maps in (student, teacher)]
    torch.testing.assert_close(at_loss([student], [teacher]), at_loss([pooled[0]], [pooled[1]]))


def test_odd_powers_take_the_magnitude() -> None:
    student, teacher = closed_form_map(3, 4, 4, 0.1), closed_form_map(3, 4, 4, 0.8)
    torch.testing.assert_close(at_loss([-student], [teacher], power=3.0), at_loss([student], [teacher], power=3.0))


def test_gradcheck() -> None:
    student, teacher = closed_form_map(2, 2, 3, 0.1), closed_form_map(3, 2, 3, 0.8)
    assert torch.autograd.gradcheck(lambda maps: at_loss([maps], [teacher]), student.requires_grad_())


def test_zero_maps_are_safe() -> None:
    student = torch.zeros(2, 3, 4, 4, requires_grad=True)
    value = at_loss([student], [torch.zeros(2, 3, 4, 4)])
    value.backward()
    assert value.item() == 0
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_pairs_are_matched_or_the_users() -> None:
    objective = AT()
    taps = objective.taps(
        offer("stem", "block1", "block2", "block3"), offer("stem", "block1", "block2", "block3", "block4")
    )
    assert taps.student == ("block1", "block2", "block3")
    assert taps.teacher == ("block2", "block3", "block4")  # all of one size: the deepest
    assert objective.notes() == (
        "pairs block1 -> block2, block2 -> block3, block3 -> block4 (student -> teacher); left out: teacher's block1",
    )
    own = AT(pairs={"layer2.0": "blocks.3"}).taps({}, {})
    assert (own.student, own.teacher) == (("layer2.0",), ("blocks.3",))


def test_errors() -> None:
    maps = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="1 and 2 levels"):
        at_loss([maps], [maps, maps])
    with pytest.raises(ValueError, match="0 and 0 levels"):
        at_loss([], [])
    with pytest.raises(ValueError, match="power: 0 is not above 0"):
        AT(power=0)
    with pytest.raises(
        UsageError, match=r"method at needs feature maps, and the student offers pooled; name them with"
    ):
        AT().taps(offer("pooled"), offer("block1"))
    with pytest.raises(UsageError, match=r"the teacher offers none"):
        AT().taps(offer("block1"), {})


def test_a_level_is_at_most_2_over_its_positions() -> None:
    apart = torch.zeros(1, 1, 1, 4)
    apart[..., 0] = 1
    assert at_loss([apart], [apart.flip(-1)]).item() == pytest.approx(2 / 4)


def test_what_is_paired_must_be_maps() -> None:
    objective = AT(pairs={"pooled": "pooled"})
    objective.taps(offer("pooled"), offer("pooled"))
    flat = Outputs(torch.zeros(2, 3), {"pooled": torch.zeros(2, 6)})
    with pytest.raises(UsageError, match=r"at needs maps, and feature pooled of the student has shape \(2, 6\)"):
        objective.build(BuildContext(10, 3, flat, flat))
