from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import preceptor
from preceptor.errors import UsageError
from preceptor.runner.passed import check_apart, frozen_note, left_as_passed

DATA = {"name": "digits", "limit": 100, "test_limit": 40}


class Empty(nn.Module):
    """A network whose truth value is False, as that of an empty container."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.1), nn.Linear(16, 10))

    def __len__(self) -> int:
        return 0

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.layers(inputs)
        return logits


def flags(network: nn.Module) -> tuple[list[bool], list[bool]]:
    return [each.training for each in network.modules()], [each.requires_grad for each in network.parameters()]


def test_modes_and_flags_come_back_also_after_an_error() -> None:
    network = Empty()
    network.layers[1].requires_grad_(False)
    network.layers[2].eval()
    before = flags(network)
    with contextlib.suppress(RuntimeError), left_as_passed([network]):
        network.eval().requires_grad_(False)
        raise RuntimeError("stop")
    assert flags(network) == before


def test_a_teacher_is_left_as_it_was_and_its_copy_can_be_trained(tmp_path: Path) -> None:
    teacher = Empty().train()
    before, student = flags(teacher), copy.deepcopy(teacher)
    for number in range(2):  # the second student is a copy of what came back
        result = preceptor.distill(
            data=DATA, teacher=teacher, model=student, epochs=1, out=tmp_path / str(number), progress=False
        )
        assert flags(teacher) == before
        changed = [
            not torch.equal(one, other)
            for one, other in zip(result.model.parameters(), teacher.parameters(), strict=True)
        ]
        assert all(changed)
        student = copy.deepcopy(teacher)


def test_labelling_and_assessing_leave_a_teacher_as_it_was_too(tmp_path: Path) -> None:
    teacher = Empty().train()
    before = flags(teacher)
    preceptor.label(data=DATA, teacher=teacher, out=tmp_path / "labels", progress=False)
    preceptor.assess(teacher, data=DATA, progress=False)
    assert flags(teacher) == before


def test_one_network_is_not_teacher_and_student(tmp_path: Path) -> None:
    network = Empty()
    check_apart(network, copy.deepcopy(network))
    check_apart(None, network)
    wrapped = nn.Sequential(network)
    for teacher in (network, wrapped):
        with pytest.raises(UsageError, match=r"teacher: shares its parameters with the student; pass copy\.deepcopy"):
            preceptor.distill(data=DATA, teacher=teacher, model=network, epochs=1, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_frozen_parameters_of_a_student_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = Empty()
    network.layers[1].requires_grad_(False)
    assert frozen_note(Empty()) == ()
    preceptor.teach(data=DATA, model=network, epochs=1, out=tmp_path / "run")
    assert "note: model: 1,040 of 1,210 parameters are frozen (requires_grad=False)" in capsys.readouterr().err
    with pytest.raises(UsageError, match="model: all its parameters are frozen"):
        frozen_note(network.requires_grad_(False))
