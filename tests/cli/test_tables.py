"""`preceptor list`."""

from __future__ import annotations

import pytest

from preceptor.cli import main


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("models", ["wrn_40_2", "2,255,156", "convnet_s"]),
        ("objectives", ["soteacher", "brier", "lipschitz", "1e-05"]),
        ("methods", ["fitnet", "2022", "0.9 + 0.1"]),
        ("data", ["ambiguous_digits", "cifar100", "folder"]),
    ],
)
def test_lists(what: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what]) == 0
    said = capsys.readouterr().out
    for name in names:
        assert name in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["methods", "crd"], ["Contrastive representation distillation", "method.num_negatives         16384", "0.8"]),
        (["methods", "function_matching"], ["method.temperature", "1.0"]),
        (["objectives", "brier"], ["objective.weight"]),
        (["data", "gaussian"], ["data.variance     6.0"]),
        (["models", "mlp"], ["model.widths", "(128, 128)", "model.logits"]),
        (["models", "timm:resnet10t"], ["any network of timm", "model.pretrained", "model.resolution"]),
        (["models", "mine:network"], ["any importable callable", "what the factory takes"]),
    ],
)
def test_one_name_and_its_keys(words: list[str], said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", *words]) == 0
    out = capsys.readouterr().out
    for text in said:
        assert text in out


def test_a_list_of_nothing_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr()
    assert "inputs, data or presets" in " ".join(said.out.split())
    assert "error" not in said.err


def test_a_name_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "methods", "crdd"]) == 2
    assert "list methods: no 'crdd' with keys; did you mean crd" in capsys.readouterr().err
