from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import preceptor
from preceptor.errors import UsageError
from preceptor.runner.teacher_check import TeacherCheck, check_logits

DATA = {"name": "digits", "test_limit": 60}
LABELS = torch.arange(400) % 4
GOOD = 4.0 * nn.functional.one_hot(LABELS, 4).float() + torch.rand(400, 4, generator=torch.Generator().manual_seed(0))


def check(logits: Tensor, own_accuracy: float | None = None) -> TeacherCheck:
    return check_logits("teacher", logits, LABELS, "multiclass", "validation", own_accuracy)


def test_a_good_teacher_is_one_line() -> None:
    found = check(GOOD, own_accuracy=0.98)
    assert found == TeacherCheck(1.0, 400, "validation", ())
    assert str(found) == "validation accuracy 100.0 % (400 samples)"


@pytest.mark.parametrize(
    ("logits", "own", "warning"),
    [
        (GOOD.roll(1, 1), None, "near chance for 4 classes: are its classes in the data's order"),
        (GOOD.softmax(1), None, "returns probabilities, and logits are expected"),
        (torch.ones(400, 4), None, "returns the same logits for every sample"),
        (
            torch.where(torch.arange(400)[:, None] % 2 == 0, GOOD, GOOD.roll(1, 1)),
            0.95,
            "its own run had 95.0 % on test",
        ),
    ],
)
def test_what_a_teacher_should_not_be_is_warned_of(logits: Tensor, own: float | None, warning: str) -> None:
    assert any(line.startswith("warning: teacher") and warning in line for line in check(logits, own).warnings)


def test_outputs_of_a_sigmoid_are_probabilities_too() -> None:
    present = (torch.rand(400, 3, generator=torch.Generator().manual_seed(1)) > 0.5).long()
    found = check_logits("teacher", 0.2 + 0.6 * present.float(), present, "multilabel", "validation", None)
    assert "returns probabilities" in found.warnings[0]
    logits = 4.0 * (2 * present.float() - 1)
    found = check_logits("teacher", logits, present, "multilabel", "validation", None)
    assert found == TeacherCheck(1.0, 400, "validation", ())


def test_logits_that_are_not_finite_stop_the_run() -> None:
    logits = GOOD.clone()
    logits[3, 1], logits[5] = torch.nan, torch.inf
    with pytest.raises(UsageError, match="teacher: 2 of 400 rows of its logits on validation are not finite"):
        check(logits)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    out = tmp_path_factory.mktemp("runs") / "t"
    return preceptor.teach(data=DATA, model="convnet_s", epochs=4, engine="plain", out=out, progress=False)


def notes(teacher: object, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    preceptor.distill(data={**DATA, "limit": 64}, teacher=teacher, model="mlp", epochs=1, out=out)  # type: ignore[arg-type]
    return " ".join(capsys.readouterr().err.split())


def test_a_run_says_how_good_its_teacher_is(
    teacher: preceptor.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = notes(teacher, tmp_path / "s", capsys)
    assert "FLOP per sample validation accuracy " in said
    assert "(60 samples)" in said
    assert "warning: teacher" not in said


class Permuted(nn.Module):
    def __init__(self, network: nn.Module, *, is_softmaxed: bool = False) -> None:
        super().__init__()
        self.network = network
        self.is_softmaxed = is_softmaxed

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.network(inputs)
        return logits.softmax(1) if self.is_softmaxed else logits.roll(3, 1)


def test_permuted_classes_and_probabilities_are_seen_before_they_teach(
    teacher: preceptor.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is near chance for 10 classes" in notes(Permuted(teacher.model), tmp_path / "p", capsys)
    assert "returns probabilities" in notes(Permuted(teacher.model, is_softmaxed=True), tmp_path / "s", capsys)


def test_stored_labels_are_measured_on_training_rows(
    teacher: preceptor.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preceptor.label(data=DATA, teacher=teacher, out=tmp_path / "l", progress=False)
    preceptor.distill(data=DATA, labels=tmp_path / "l", model="mlp", epochs=1, out=tmp_path / "s")
    assert " training accuracy " in " ".join(capsys.readouterr().err.split())
