from __future__ import annotations

import inspect
import math

import pytest
import torch

from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.vid import VID, vid_loss
from preceptor.types import Outputs
from vectors import assert_golden, closed_form_map, offer

FIVE = math.log(math.expm1(5 - 1e-5))


def test_definition() -> None:
    mean, teacher = closed_form_map(3, 2, 2, 0.1), closed_form_map(3, 2, 2, 0.8)
    raw = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    total = 0.0
    for c in range(3):
        variance = math.log(1 + math.exp(float(raw[c]))) + 1e-5
        for m, t in zip(mean[:, c].flatten().tolist(), teacher[:, c].flatten().tolist(), strict=True):
            total += 0.5 * ((m - t) ** 2 / variance + math.log(variance))
    assert vid_loss(mean, raw, teacher).item() == pytest.approx(total / 48, rel=1e-10)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("vid", number, vid_loss)


def test_tabulated() -> None:
    raw = torch.full((6,), FIVE, dtype=torch.float64)
    value = vid_loss(closed_form_map(6, 4, 4, 0.1), raw, closed_form_map(6, 4, 4, 0.8))
    assert value.item() == pytest.approx(0.8277141942, rel=1e-8)


def test_by_hand() -> None:
    raw = torch.tensor([FIVE])
    value = vid_loss(torch.tensor([[[[3.0]]]]), raw, torch.tensor([[[[1.0]]]]))
    assert value.item() == pytest.approx(0.5 * (4 / 5 + math.log(5)), rel=1e-5)


def test_least_where_the_variance_is_the_mean_squared_error() -> None:
    mean, teacher = closed_form_map(1, 4, 4, 0.1), closed_form_map(1, 4, 4, 0.8)
    error = float((mean - teacher).square().mean())
    raw = torch.tensor([math.log(math.expm1(error - 1e-5))], dtype=torch.float64, requires_grad=True)
    vid_loss(mean, raw, teacher).backward()
    assert raw.grad is not None
    assert raw.grad.item() == pytest.approx(0, abs=1e-10)


def test_gradcheck() -> None:
    mean, teacher = closed_form_map(2, 2, 2, 0.1), closed_form_map(2, 2, 2, 0.8)
    raw = torch.tensor([0.5, -0.5], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m, r: vid_loss(m, r, teacher), (mean.requires_grad_(), raw.requires_grad_()))


def test_scales_are_parameters_that_move_and_survive() -> None:
    torch.manual_seed(0)
    names = offer("block1", "block2")
    outputs = [Outputs(torch.zeros(2, 3), {n: torch.randn(2, c, 4, 4) for n in ("block1", "block2")}) for c in (4, 6)]
    objectives = []
    for _ in range(2):
        objective = VID()
        objective.taps(names, names)
        objective.build(BuildContext(10, 3, outputs[0], outputs[1]))
        objectives.append(objective)
    one, two = objectives
    assert torch.nn.functional.softplus(one.raw_scales[0])[0].item() == pytest.approx(5, abs=1e-3)
    before = one.raw_scales[0].detach().clone()
    optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
    maps = [[side.features[n] for n in ("block1", "block2")] for side in outputs]
    for _ in range(2):
        optimizer.zero_grad()
        one(*maps).backward()
        optimizer.step()
    assert (one.raw_scales[0] != before).all()
    two.load_state_dict(one.state_dict())
    assert torch.equal(one(*maps), two(*maps))


@pytest.mark.parametrize("variance", [2e-5, 0.1, 5.0, 1000.0])
def test_the_scales_begin_at_the_initial_variance(variance: float) -> None:
    outputs = Outputs(torch.zeros(2, 3), {"block1": torch.zeros(2, 4, 2, 2)})
    objective = VID(initial_variance=variance)
    objective.taps(offer("block1"), offer("block1"))
    objective.build(BuildContext(10, 3, outputs, outputs))
    reached = torch.nn.functional.softplus(objective.raw_scales[0].double()) + 1e-5
    torch.testing.assert_close(reached, torch.full((4,), variance, dtype=torch.float64), rtol=1e-5, atol=0)


def test_errors() -> None:
    for variance in (0.0, 1e-5):
        with pytest.raises(ValueError, match=f"initial_variance: {variance} is not above 1e-05"):
            VID(initial_variance=variance)
    plain, maps = inspect.unwrap(vid_loss), torch.zeros(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"shapes \(2, 1, 4, 4\) and \(2, 3, 4, 4\) differ"):
        plain(maps[:, :1], torch.zeros(3), maps)
    with pytest.raises(ValueError, match=r"raw_scale: shape \(1,\) for maps of 3 channels"):
        plain(maps, torch.zeros(1), maps)
