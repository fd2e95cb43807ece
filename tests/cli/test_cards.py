"""`preceptor list KIND NAME`."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.cli import main
from preceptor.cli.tables import names_of

OWN = '''
from preceptor.objectives.base import Objective

class Mine(Objective):
    """What it does, as its author says."""

    def __init__(self, sharpness: float = 2.0) -> None:
        super().__init__()

    def loss(self, step):
        return step.student.logits.sum()
'''


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["methods", "crd"],
            ["Contrastive representation distillation", "method.num_negatives         16384", "(2020, looks at embedding)"],
        ),
        (["methods", "function_matching"], ["method.temperature", "1.0", "A good teacher is patient and"]),
        (["methods", "takd"], ["assistants between the networks", "(2020, a procedure)"]),
        (["objectives", "brier"], ["objective.weight"]),
        (["objectives", "soteacher"], ["objective.lipschitz.weight      1e-05", "1 (Linear)"]),
        (["data", "gaussian"], ["data.variance     6.0"]),
        (["presets", "crd-protocol"], ["batch_size", "method mlkd: optim.lr", "0.025"]),
        (["models", "mlp"], ["model.widths", "(128, 128)", "model.logits"]),
        (["models", "timm:resnet10t"], ["any network of timm", "model.pretrained", "model.resolution"]),
        (["models", "mine:network"], ["any importable callable", "what the factory takes"]),
    ],
)  # fmt: skip
def test_one_name_and_its_keys(words: list[str], said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", *words]) == 0
    out = capsys.readouterr().out
    for text in said:
        assert text in out


@pytest.mark.parametrize("what", ["objectives", "methods", "inputs", "data", "presets"])
def test_every_card_fits_80_columns(
    what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in names_of(what):  # type: ignore[arg-type]
        assert main(["list", what, name]) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80, name


def test_an_item_that_is_longer_than_a_line_is_indented(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list", "data", "table"]) == 0
    said = capsys.readouterr().out
    assert "\n\nArgs:\n    path: the file; its first line names the columns.\n" in said
    assert "a fifth of the\n        rows is split off.\n" in said


def test_an_objective_of_ones_own_has_a_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card_of_own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert main(["list", "methods", "card_of_own:Mine"]) == 0
    said = capsys.readouterr().out
    assert "What it does, as its author says." in said
    assert "method.sharpness  2.0" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["methods", "crdd"], "list methods: no 'crdd'; did you mean crd"),
        (["presets", "crd-protocl"], "list presets: no 'crd-protocl'; did you mean crd-protocol"),
        (["methods", "no_such_module:Mine"], "method: no_such_module:Mine: cannot import no_such_module"),
        (["models", "resnett8"], "model: unknown name 'resnett8'; did you mean resnet8"),
    ],
)
def test_a_name_that_is_not_there(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", *words]) == 2
    assert message in capsys.readouterr().err
