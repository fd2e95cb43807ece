"""Help, config and completion: what they print, and that they do so without torch."""

from __future__ import annotations

import pytest
import yaml

from preceptor.cli import main
from preceptor.cli.keys import read_sections
from preceptor.config.overrides import SHORT_FOR
from preceptor.errors import UsageError


@pytest.mark.parametrize("verb", ["teach", "distill"])
def test_the_printed_configuration_is_one(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", verb, "epochs=7"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["epochs"] == 7
    assert {"data", "model", "optim", "schedule", "seed", "out"} <= set(printed)


@pytest.mark.parametrize("verb", ["teach", "distill"])
def test_help_shows_each_key(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    said = capsys.readouterr().out
    for key in ("data.name", "optim.lr", "schedule.milestones", "checkpoint_every_steps", "stop_at"):
        assert key in said


def test_help_says_which_sections_may_stand_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"Alone, {', '.join(sorted({*SHORT_FOR} - {'objective', 'predictions'}))} stand for their first keys" in out


def test_sections_that_words_set() -> None:
    data, model, key, classes, onnx = read_sections("evaluate", ["data=digits", "data.limit=5"])
    assert data is not None
    assert (data["name"], data["limit"], model, key, classes, onnx) == ("digits", 5, None, None, None, None)
    assert read_sections("evaluate", []) == (None, None, None, None, None)
    words = ["model.widths=[4]", "model=mlp", "weights_key=ema", "classes=[3, 1]"]
    _, model, key, classes, _ = read_sections("evaluate", words)
    assert key == "ema"
    assert model is not None
    assert (model["name"], model["widths"], classes) == ("mlp", [4], (3, 1))
    assert read_sections("assess", ["classes=match"]) == (None, None, None, "match", None)
    onnx = read_sections("evaluate", ["onnx.scale=255"])[-1]
    assert onnx is not None
    assert (onnx["scale"], onnx["output"]) == (255, "logits")
    with pytest.raises(UsageError, match=r"^seed: assess takes data=\.\.\."):
        read_sections("assess", ["data=digits", "seed=1", "lr=2"])
    with pytest.raises(UsageError, match=r"^data: expected key=value"):
        read_sections("evaluate", ["data"])
