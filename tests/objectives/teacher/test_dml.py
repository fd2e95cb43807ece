from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.models.zoo.small import ConvNet
from preceptor.objectives.base import BuildContext
from preceptor.objectives.distill.kd import kd_loss
from preceptor.objectives.teacher.dml import DML, dml_loss
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import assert_golden, closed_form_logits, softmax_rows


def test_definition() -> None:
    logits, peer, _ = closed_form_logits()
    total = 0.0
    for mine, its in zip(softmax_rows(logits), softmax_rows(peer), strict=True):
        total += sum(p * math.log(p / q) for p, q in zip(its, mine, strict=True)) / 4
    assert dml_loss(logits, [peer]).item() == pytest.approx(total, rel=1e-9)
    assert dml_loss(logits, [peer, logits], reduction="sum").item() == pytest.approx(total, rel=1e-9)
    assert dml_loss(logits, [peer, logits]).item() == pytest.approx(total / 2, rel=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    assert_golden("dml", number, dml_loss)


def test_with_one_peer_it_is_kd_at_temperature_1() -> None:
    logits, peer, _ = closed_form_logits()
    torch.testing.assert_close(dml_loss(logits, [peer]), kd_loss(logits, peer, temperature=1.0))


def test_gradcheck() -> None:
    logits, peer, _ = closed_form_logits()
    assert torch.autograd.gradcheck(lambda z: dml_loss(z, [peer, -peer]), logits.requires_grad_())


def make(**hyperparameters: object) -> tuple[DML, Step, ConvNet]:
    torch.manual_seed(0)
    model = ConvNet([2, 4], 1, num_classes=3, in_channels=1)
    inputs, labels = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    outputs = Outputs(model(inputs))
    objective = DML(**hyperparameters)  # type: ignore[arg-type]
    context = BuildContext(4, 3, outputs, None, model=model, new_network=network)
    objective.build(context)
    batch = Batch(inputs, labels, torch.arange(4), View("none", 0, 1))
    return objective, Step(batch, outputs, None, model, Progress(1, 2, 0.0)), model


def network(name: str | None) -> nn.Module:
    if name == "single":
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    return ConvNet([2, 3], 1, num_classes=3, in_channels=1)


def test_each_network_gets_the_gradient_of_its_own_loss() -> None:
    objective, step, model = make(peers=("a", "b"))
    objective.loss(step).backward()
    peers = [peer(step.batch.inputs) for peer in objective.peers]
    logits = model(step.batch.inputs)
    assert step.batch.labels is not None
    cases = [
        (model, dml_loss(logits, peers)),
        (
            objective.peers[0],
            dml_loss(peers[0], [logits, peers[1]]) + functional.cross_entropy(peers[0], step.batch.labels),
        ),
    ]
    for net, own in cases:
        expected = torch.autograd.grad(own, list(net.parameters()), retain_graph=True)
        for parameter, gradient in zip(net.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


def test_peers_differ_from_each_other_and_are_kept() -> None:
    objective, _, _ = make(peers=("a", "b"))
    kept = objective.trained_modules()
    assert list(kept) == ["peer1", "peer2"]
    assert not torch.equal(next(kept["peer1"].parameters()), next(kept["peer2"].parameters()))
    assert objective.notes() == ("trained together with a, b",)
    assert make()[0].notes() == ("trained together with another network like it",)


def test_errors() -> None:
    with pytest.raises(ValueError, match="peer_logits: needs at least one peer, got none"):
        dml_loss(torch.zeros(1, 2), [])
    with pytest.raises(ValueError, match=r"shapes \(1, 2\) and \(1, 3\)"):
        inspect.unwrap(dml_loss)(torch.zeros(1, 2), [torch.zeros(1, 3)])
    objective, step, model = make()
    with pytest.raises(UsageError, match=r"trains another network too, and needs BuildContext\.new_network"):
        objective.build(BuildContext(4, 3, step.student, None, model=model))
    with pytest.raises(UsageError, match="needs labels"):
        objective.loss(replace(step, batch=replace(step.batch, labels=None)))
