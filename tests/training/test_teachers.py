from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import preceptor
from preceptor.data import Loader, LoaderSettings, load
from preceptor.divergences import log_soften
from preceptor.labels import LabelStore, write_labels
from preceptor.models import create, observe
from preceptor.training import (
    EnsembleTeacher,
    LiveTeacher,
    OracleTeacher,
    SequentialTeacher,
    StoredTeacher,
    TeacherSource,
    average_outputs,
)
from preceptor.types import Batch, Outputs, View
from small_store import WANTED, logits, predict
from small_training import CPU, ENGINE, made_batch

SMALL = {"name": "digits", "limit": 200, "test_limit": 50}


@pytest.fixture(scope="module")
def networks() -> list[nn.Module]:
    torch.manual_seed(0)
    return [create("convnet_s", num_classes=10, input_shape=(1, 8, 8)).eval() for _ in range(2)]


def some_batch(extra: bool = False) -> Batch:
    data = load("digits", limit=16)
    settings = LoaderSettings(
        batch_size=8,
        view="crop_flip",
        normalisation=data.normalisation,
        seed=0,
        device=CPU,
        extra_views=["rotated_90", "strong"] if extra else [],
    )
    return next(Loader(data.train, settings).batches(1))


def live(network: nn.Module) -> LiveTeacher:
    return LiveTeacher(observe(network, ["block1"]), ENGINE)


def test_an_ensemble_returns_its_mean_distribution_and_each_members_own(networks: list[nn.Module]) -> None:
    batch = some_batch()
    sources = [live(network) for network in networks]
    outputs = EnsembleTeacher(sources)(batch)
    alone = [source(batch) for source in sources]
    mean = torch.stack([member.logits.softmax(1) for member in alone]).mean(0)
    torch.testing.assert_close(log_soften(outputs.logits).exp(), mean)
    assert [torch.equal(m.logits, a.logits) for m, a in zip(outputs.members, alone, strict=True)] == [True, True]
    assert torch.equal(outputs.features["block1"], alone[0].features["block1"])


def test_an_ensemble_is_averaged_on_extra_views_too(networks: list[nn.Module]) -> None:
    batch = some_batch(extra=True)
    sources = [live(network) for network in networks]
    strong = EnsembleTeacher(sources)(batch).views["strong"].logits
    mean = torch.stack([source(batch).views["strong"].logits.softmax(1) for source in sources]).mean(0)
    torch.testing.assert_close(log_soften(strong).exp(), mean)


def test_extra_views_have_outputs_of_their_own(networks: list[nn.Module]) -> None:
    batch = some_batch(extra=True)
    outputs = live(networks[0])(batch)
    assert list(outputs.views) == ["rotated_90", "strong"]
    for name, inputs in batch.extra_views.items():
        torch.testing.assert_close(outputs.views[name].logits, networks[0](inputs))
        assert len(outputs.views[name].features["block1"]) == 8
    torch.testing.assert_close(outputs.logits, networks[0](batch.inputs))


def test_a_live_teacher_is_frozen_and_in_eval_mode() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)).train()
    outputs = LiveTeacher(observe(network, ()), ENGINE)(made_batch())
    assert not outputs.logits.requires_grad
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    torch.testing.assert_close(outputs.logits, network[0](made_batch().inputs))


def test_a_sequence_changes_with_the_epoch() -> None:
    def returning(value: float) -> TeacherSource:
        return lambda batch: Outputs(torch.full((1, 2), value))

    sequence = SequentialTeacher([returning(0.0), returning(1.0), returning(2.0)], [3, 5])
    batch = made_batch()

    def at(epoch: int) -> float:
        now = Batch(batch.inputs, batch.labels, batch.index, View("none", 0, epoch))
        return float(sequence(now).logits[0, 0])

    assert [at(epoch) for epoch in (1, 2, 3, 4, 5, 9)] == [0, 0, 1, 1, 2, 2]


def test_an_ensemble_on_multi_label_data_returns_the_mean_probability_of_each_class() -> None:
    one, other = torch.randn(2, 4, 3).unbind(0)
    outputs = average_outputs([Outputs(one), Outputs(other)], "multilabel")
    torch.testing.assert_close(torch.sigmoid(outputs.logits), (torch.sigmoid(one) + torch.sigmoid(other)) / 2)
    assert torch.equal(outputs.members[1].logits, other)


def test_the_true_distribution_is_looked_up_by_sample() -> None:
    truth = torch.tensor([[0.25, 0.75, 0.0]]).repeat(24, 1)
    truth[5] = torch.tensor([0.5, 0.25, 0.25])
    batch = made_batch()
    probabilities = OracleTeacher(truth, ENGINE)(batch).logits.softmax(1)
    torch.testing.assert_close(probabilities, truth[batch.index])


def test_stored_outputs_are_looked_up_by_sample_and_view(tmp_path: Path) -> None:
    write_labels(tmp_path / "l", WANTED, predict, batch_size=10)
    teacher = StoredTeacher(LabelStore(tmp_path / "l"))
    rows = torch.tensor([3, 24, 0])
    for view in (1, 2, 1):
        batch = Batch(torch.zeros(3, 1), None, rows, View("flip", 7, view))
        torch.testing.assert_close(teacher(batch).logits, logits(view, rows), atol=0.1, rtol=0)


class Lazy(nn.Module):
    """A network in which batch-norm and dropout make modes matter."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Dropout(0.5), nn.Linear(32, 10)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.body(inputs)
        return logits


def test_the_teacher_stays_as_it_was(tmp_path: Path) -> None:
    teacher = Lazy()
    teacher.train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    preceptor.distill(data=SMALL, teacher=teacher, model="convnet_s", epochs=2, out=tmp_path / "run", progress=False)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
