from __future__ import annotations

import inspect

import pytest
import torch

from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.distill.ickd import ICKD, ickd_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_map, offer


def test_definition() -> None:
    student, teacher = closed_form_map(3, 2, 4, 0.1), closed_form_map(3, 2, 2, 0.8)
    total = 0.0
    for b in range(4):
        grams = []
        for maps in (student, teacher):
            flat = maps[b].reshape(3, -1)
            gram = [[float(flat[c] @ flat[d]) for d in range(3)] for c in range(3)]
            grams.append([[value / sum(v * v for v in row) ** 0.5 for value in row] for row in gram])
        total += sum((grams[0][c][d] - grams[1][c][d]) ** 2 for c in range(3) for d in range(3))
    assert ickd_loss(student, teacher).item() == pytest.approx(total / (4 * 3), rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("ickd", number, ickd_loss)


def test_tabulated() -> None:
    value = ickd_loss(closed_form_map(6, 4, 4, 0.1), closed_form_map(6, 4, 4, 0.8))
    assert value.item() == pytest.approx(4 * 0.03891751482, rel=1e-8)  # the table's divides by the batch once more


def test_by_hand() -> None:
    """Channels that never fire together against two equal ones: rows (1, 0) and (1, 1) / sqrt 2."""
    apart = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    expected = (2 * (1 - 2**-0.5) ** 2 + 2 * 0.5) / 2
    assert ickd_loss(apart, torch.ones(1, 2, 1, 2)).item() == pytest.approx(expected, rel=1e-6)


def test_places_and_scale_do_not_matter() -> None:
    student, teacher = closed_form_map(3, 2, 4, 0.1), closed_form_map(3, 2, 2, 0.8)
    torch.testing.assert_close(ickd_loss(4 * student.flip(-1), teacher), ickd_loss(student, teacher))


def test_gradcheck() -> None:
    student, teacher = closed_form_map(3, 2, 2, 0.1), closed_form_map(3, 2, 2, 0.8)
    assert torch.autograd.gradcheck(lambda maps: ickd_loss(maps, teacher), student.requires_grad_())


def test_channels_that_never_fire_have_no_huge_gradient() -> None:
    """The direction of a row of zeros does not exist; a clamp would make its derivative 1e12."""
    torch.manual_seed(0)
    student = torch.randn(2, 4, 3, 3)
    student[:, 1] = 0
    teacher = torch.randn(2, 4, 3, 3)
    ickd_loss(student.requires_grad_(), teacher).backward()
    assert student.grad is not None
    assert 0 < student.grad[:, 1].abs().max() < 100


def test_the_embedding_is_built_from_the_shapes_seen_and_trains() -> None:
    objective = ICKD()
    names = offer("block1", "block2")
    assert objective.taps(names, names) == Taps(("block2",), ("block2",))
    outputs = [Outputs(torch.zeros(2, 3), {"block2": torch.randn(2, c, 4, 4)}) for c in (6, 9)]
    objective.build(BuildContext(10, 3, outputs[0], outputs[1]))
    assert sum(p.numel() for p in objective.parameters()) == 6 * 9 + 2 * 9
    objective(objective.embeds[0](outputs[0].features["block2"]), outputs[1].features["block2"]).backward()
    assert all(p.grad is not None for p in objective.parameters())


def test_errors() -> None:
    with pytest.raises(ValueError, match="2 and 3 channels"):
        inspect.unwrap(ickd_loss)(torch.zeros(1, 2, 2, 2), torch.zeros(1, 3, 2, 2))
