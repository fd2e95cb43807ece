from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.models import observe
from preceptor.objectives.base import Objective
from preceptor.objectives.distill import KD
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.training import Learner, ObjectiveOnlyLearner
from preceptor.types import Outputs, Progress, Step
from small_training import made_batch, made_learner

PROGRESS = Progress(epoch=1, epochs=1, fraction=0.0)


class Bank(Objective):
    """Has a memory bank and another buffer."""

    uses_teacher = False
    memory_banks = ("bank",)
    bank: Tensor
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bank", torch.zeros(24, 3))
        self.register_buffer("mean", torch.zeros(3))

    def loss(self, step: Step) -> Tensor:
        return step.student.logits.mean()


class Comparing(Bank):
    """Needs the rows of all processes."""

    compares_rows = True


def test_it_returns_each_terms_unweighted_loss_and_the_logits() -> None:
    learner, batch = made_learner(Sum(cross_entropy=(0.1, CrossEntropy()), kd=(0.9, KD()))).eval(), made_batch()
    teacher = Outputs(torch.randn(8, 3))
    terms, logits = learner(batch, teacher, PROGRESS)
    assert torch.equal(logits, learner.network.model(batch.inputs))
    assert batch.labels is not None
    torch.testing.assert_close(terms["cross_entropy"], functional.cross_entropy(logits, batch.labels))
    torch.testing.assert_close(terms["kd"], KD()(logits, teacher.logits))


def test_terms_see_the_step_that_gather_returns() -> None:
    learner, batch = made_learner(Sum(bank=(1.0, Comparing()))).eval(), made_batch()
    terms, logits = learner(batch, None, PROGRESS, lambda step: step.rows(0, 1))
    assert len(logits) == 8
    torch.testing.assert_close(terms["bank"], logits[:1].mean())


def test_an_accelerated_forward_pass_is_no_second_network() -> None:
    network = observe(nn.Linear(4, 3), ())
    learner = Learner(network, Sum(cross_entropy=(1.0, CrossEntropy())), forward_pass=nn.Sequential(network))
    assert [name for name, _ in learner.named_parameters()] == ["network.model.weight", "network.model.bias"]
    assert isinstance(learner.forward_pass, nn.Sequential)


def test_averaged_buffers_are_statistics_and_no_memory_banks() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    objective = Bank()
    learner = Learner(observe(network, ()), Sum(bank=(1.0, objective)))
    norm = network[1]
    assert isinstance(norm, nn.BatchNorm1d)

    def pointers(tensors: list[Tensor | None]) -> Iterator[int]:
        return (tensor.data_ptr() for tensor in tensors if tensor is not None)

    assert {*pointers([*learner.synced_buffers()])} == {
        *pointers([norm.running_mean, norm.running_var, objective.mean])
    }


def test_full_weights_are_loaded_into_the_copy_of_a_sharded_network() -> None:
    network, copied = nn.Linear(4, 3), nn.Linear(4, 3)
    learner = Learner(observe(network, ()), Sum(cross_entropy=(1.0, CrossEntropy())), unsharded=copied)
    assert learner.full_network() is copied
    assert torch.equal(copied.weight, network.weight)
    assert made_learner().full_network() is not None


def test_an_objective_alone_gets_the_teachers_outputs_as_the_students() -> None:
    learner = ObjectiveOnlyLearner(observe(nn.Linear(4, 3), ()), Sum(cross_entropy=(1.0, CrossEntropy())))
    teacher = Outputs(torch.randn(8, 3))
    _, logits = learner(made_batch(), teacher, PROGRESS)
    assert logits is teacher.logits
    with pytest.raises(AssertionError, match="needs a teacher"):
        learner(made_batch(), None, PROGRESS)
