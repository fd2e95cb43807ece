"""Three processes and one, side by side: what each of three has of a batch, put together, is the batch that one has."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn

from preceptor.data import Arrays, Batches, Loader, LoaderSettings, Normalisation, PolicyLoader, PooledLoader
from preceptor.data.augment.mixtures import Mixup, Noise
from preceptor.distributed import Processes, gather_batch, gather_step
from preceptor.models import observe
from preceptor.models.zoo.small import mlp
from preceptor.objectives.base import BuildContext, Objective, labels_of
from preceptor.objectives.distill import KD, PKT, RKD
from preceptor.objectives.distill.cc import CC
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.training import Learner, LearningRate, LiveTeacher, OptimizerSettings, Plan, make_optimizer
from preceptor.training.engine import Engine
from preceptor.training.metrics import RunningMetrics
from preceptor.training.state import TrainState
from preceptor.training.step import train_step
from preceptor.types import Batch, Outputs, Progress, Step
from started import side_by_side

COUNT = 3
DEVICE = torch.device("cpu")


def loader(count: int, size: int, place: tuple[int, int], first: int = 0) -> Loader:
    random = torch.Generator().manual_seed(count)
    inputs = torch.randn(count, 4, generator=random)
    samples = Arrays(inputs, torch.arange(count) % 3)
    return Loader(
        samples,
        LoaderSettings(batch_size=size, view="none", normalisation=Normalisation(), seed=0, device=DEVICE),
        rank=(place[0] - first) % place[1],
        world_size=place[1],
    )


def plain(processes: Processes) -> Batches:
    """Batches of 10, 10 and 2 rows: the third process has none of the last one."""
    return loader(22, 10, (processes.rank, processes.world_size))


def few(processes: Processes) -> Batches:
    """Batches of 10 and 4 rows: of the last one, the first process has two, the others one."""
    return loader(14, 10, (processes.rank, processes.world_size))


def pooled(processes: Processes) -> Batches:
    """4 rows with labels and 7 without: neither can be shared evenly, nor the batch."""
    place = (processes.rank, processes.world_size)
    return PooledLoader(loader(9, 4, place), loader(15, 7, place, first=4), num_batches=3)


def mixed(processes: Processes) -> Batches:
    """Every other batch has 11 rows of samples, with labels or without, and as many beyond them."""
    policy = Mixup(real_share=0.5, add=True, per_sample=True)
    gather = partial(gather_batch, processes=processes)
    rank, world_size = processes.rank, processes.world_size
    return PolicyLoader(pooled(processes), policy, gather_batch=gather, rank=rank, world_size=world_size)


def noisy(processes: Processes) -> Batches:
    gather = partial(gather_batch, processes=processes)
    rank, world_size = processes.rank, processes.world_size
    return PolicyLoader(plain(processes), Noise(), 3, gather_batch=gather, rank=rank, world_size=world_size)


KINDS: list[Callable[[Processes], Batches]] = [plain, pooled, mixed, noisy]


def assert_same_batch(one: Batch, other: Batch) -> None:
    torch.testing.assert_close(other.inputs, one.inputs)
    assert torch.equal(other.index, one.index)
    assert (other.labels is None) == (one.labels is None)
    if one.labels is not None and other.labels is not None:
        torch.testing.assert_close(other.labels, one.labels)
    assert other.share == pytest.approx(1)
    assert other.labelled_share == pytest.approx(1) or not one.num_labelled
    assert other.sample_share == pytest.approx(1) or not len(one.index)


def batches_are_those_of_one_process(processes: Processes) -> None:
    for kind in KINDS:
        for one, own_rows in zip(kind(Processes()).batches(1), kind(processes).batches(1), strict=True):
            assert_same_batch(one, gather_batch(own_rows, processes=processes))


def features_travel_when_they_are_looked_at(processes: Processes) -> None:
    batch = next(plain(processes).batches(1))
    outputs = Outputs(batch.inputs, {"one": batch.inputs, "never": batch.inputs.to_sparse()})  # which cannot be padded
    several = Outputs(-batch.inputs, {}, {"turned": outputs}, (outputs, outputs))
    gathered = gather_step(Step(batch, outputs, several, nn.Identity(), Progress(1, 1, 0.0)), processes=processes)
    one = next(plain(Processes()).batches(1)).inputs
    assert torch.equal(gathered.student.logits, one)
    assert torch.equal(gathered.student.features["one"], one)
    assert gathered.student.features["one"] is gathered.student.features["one"]
    assert list(gathered.student.features) == ["one", "never"]
    assert gathered.batch.inputs.shape == (10, 0)
    assert gathered.teacher is not None
    assert torch.equal(gathered.teacher.logits, -one)
    assert torch.equal(gathered.teacher.views["turned"].features["one"], one)
    assert [torch.equal(member.logits, one) for member in gathered.teacher.members] == [True, True]


def the_gradient_is_that_of_one_process(processes: Processes) -> None:
    """By hand, without the loop: the mean over processes of each one's gradient, its loss scaled by its share."""
    for one, own_rows in zip(plain(Processes()).batches(1), plain(processes).batches(1), strict=True):
        weight = torch.linspace(-1, 1, 12).reshape(4, 3).requires_grad_()
        connector = torch.ones(3, requires_grad=True)

        def loss(batch: Batch, processes: Processes, weight: Tensor = weight, connector: Tensor = connector) -> Tensor:
            step = Step(batch, Outputs(batch.inputs @ weight), None, nn.Identity(), Progress(1, 1, 0.0))
            logits = gather_step(step, processes=processes).student.logits * connector
            return (logits @ logits.T).cos().mean() * batch.share

        expected = torch.autograd.grad(loss(one, Processes()), [weight, connector])
        for own, wanted in zip(
            torch.autograd.grad(loss(own_rows, processes), [weight, connector]), expected, strict=True
        ):
            torch.testing.assert_close(processes.add(own.clone()) / processes.world_size, wanted)


class Labelled(Objective):
    """The mean logit of the label, of rows that have one."""

    uses_teacher = False
    needs_labels = True

    def loss(self, step: Step) -> Tensor:
        return step.student.logits.gather(1, labels_of(step)[:, None]).square().mean()


class Together(Labelled):
    """How alike the answers to any two rows with a label are."""

    compares_rows = True

    def loss(self, step: Step) -> Tensor:
        own = step.student.logits.gather(1, labels_of(step)[:, None])
        return (own @ own.T).sigmoid().mean()


class OfSamples(Objective):
    """The mean square of logits of rows that show a sample."""

    uses_teacher = False
    needs_samples = True

    def loss(self, step: Step) -> Tensor:
        return step.student.logits.square().mean()


def trained(
    kind: Callable[[Processes], Batches], objective: Sum, processes: Processes, accumulate: int = 1
) -> tuple[Mapping[str, Tensor], RunningMetrics]:
    """Return what a network and its connectors are after one epoch, and what was counted."""
    torch.manual_seed(0)
    engine = Engine(DEVICE, processes=processes)
    networks = [mlp(num_classes=3, input_shape=(4,), widths=[8]) for _ in range(2)]
    student, teacher = (observe(network, ("pooled",)) for network in networks)
    probes = [network(torch.zeros(2, 4)) for network in (student, teacher)]
    objective = copy.deepcopy(objective)
    objective.taps(*({name: tuple(value.shape[1:]) for name, value in out.features.items()} for out in probes))
    objective.build(BuildContext(24, 3, *probes))
    learner = Learner(student, objective)
    plan = Plan(1, 1, LearningRate(0.05), accumulate=accumulate)
    optimizer = make_optimizer(OptimizerSettings(lr=0.05, momentum=0.0), learner)
    state = TrainState(learner, optimizer, plan, num_batches=10**6, processes=processes)
    for batch in kind(processes).batches(1):
        assert train_step(state, batch, LiveTeacher(teacher, engine), plan, engine) is None
    return learner.state_dict(), state.metrics.over(processes, DEVICE)


def assert_same_training(
    kind: Callable[[Processes], Batches], objective: Sum, processes: Processes, accumulate: int = 1
) -> None:
    weights, metrics = trained(kind, objective, Processes())
    others, other_metrics = trained(kind, objective, processes, accumulate)
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, rtol=1e-5, atol=1e-6)
    assert other_metrics.loss == pytest.approx(metrics.loss, rel=1e-5)
    if accumulate == 1:
        assert other_metrics.term_means == pytest.approx(metrics.term_means, rel=1e-5)


def steps_are_those_of_one_process(processes: Processes) -> None:
    relations = Sum(kd=(1.0, KD()), rkd=(1.0, RKD()), pkt=(10.0, PKT()), cc=(0.1, CC(dim=5)))
    by_rows = Sum(
        cross_entropy=(1.0, CrossEntropy()),
        labelled=(1.0, Labelled()),
        together=(1.0, Together()),
        samples=(1.0, OfSamples()),
        kd=(1.0, KD()),
    )
    for kind, objective in ((plain, relations), (pooled, relations), (pooled, by_rows), (mixed, by_rows)):
        assert_same_training(kind, objective, processes)


def passes_are_one_step(processes: Processes) -> None:
    """Of means over rows, whatever rows they are of; a process may have fewer rows than there are passes."""
    means = Sum(cross_entropy=(1.0, CrossEntropy()), samples=(1.0, OfSamples()), kd=(1.0, KD()))
    for kind, accumulate in ((few, 2), (pooled, 2), (mixed, 3)):
        assert_same_training(kind, means, processes, accumulate)


def in_each(rank: int, meeting: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=COUNT)
    processes = Processes(rank, COUNT)
    batches_are_those_of_one_process(processes)
    features_travel_when_they_are_looked_at(processes)
    the_gradient_is_that_of_one_process(processes)
    steps_are_those_of_one_process(processes)
    passes_are_one_step(processes)
    distributed.destroy_process_group()


def test_three_processes_see_and_learn_what_one_does(tmp_path: Path) -> None:
    side_by_side(in_each, (tmp_path / "meeting",), COUNT)


def test_passes_of_one_process_are_one_step() -> None:
    passes_are_one_step(Processes())


def test_one_process_has_it_all() -> None:
    batch = next(plain(Processes()).batches(1))
    step = Step(batch, Outputs(batch.inputs), None, nn.Identity(), Progress(1, 1, 0.0))
    assert gather_batch(batch, processes=Processes()) is batch
    assert gather_step(step, processes=Processes()) is step
