"""What `preceptor export` and `preceptor predict` print."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from preceptor.errors import RunError
from preceptor.exports.export import Exported, Quantised
from preceptor.exports.predict import Prediction

verbs = importlib.import_module("preceptor.cli.export")  # the package has a function of this name


def test_an_export_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    quantised = Quantised(Path("s.int8.onnx"), 1024, 3 * 2**20, 80, 0.5, 0.625, ("ConvInteger", "MatMulInteger"))
    verbs.show_exported(Exported(Path("s.onnx"), 3 * 2**20, 18, 2.5e-7, quantised, Path("hub")))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line.split("  ")[0] for line in lines[:6]] == [
        *("opset", "largest difference to PyTorch", "size", "int8 size", "int8 accuracy", "int8 operators")
    ]
    assert lines[1].endswith("2.5e-07, on a batch size that was not traced")
    assert lines[3].endswith("1.0 KiB (float32: 3.00 MiB)")
    assert lines[4].endswith("50.00 % (float32: 62.50 %) on 80 test samples")
    assert lines[6:] == ["File: s.onnx", "Int8: s.int8.onnx", "Hub folder: hub"]


def test_predictions_are_printed_and_failures_named_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = [
        Prediction("a.png", ("cat", "dog"), (0.75, 0.25)),
        *(Prediction(f"{size}.png", ("cow",), (1.0,), resized_from=(size, 24)) for size in (40, 16, 32, 48)),
        Prediction("b.png", problem="b.png: no readable image"),
    ]
    monkeypatch.setattr(verbs, "predict", lambda *_, **__: predictions)
    with pytest.raises(RunError, match=r"^b.png: no readable image$"):
        verbs.predict_verb(Path("s.onnx"), ["a.png"], top=2, model=None, tokenizer=None, as_json=False)
    printed = capsys.readouterr()
    assert printed.err == "4 of 6 images scaled and cropped from 24x16, 24x32, 24x40, ...\n"
    rows = [line.split() for line in printed.out.splitlines()]
    assert rows[1:3] == [["a.png", "cat", "0.7500"], ["dog", "0.2500"]]
    with pytest.raises(RunError):
        verbs.predict_verb(Path("s.onnx"), ["a.png"], top=2, model=None, tokenizer=None, as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["probabilities"] == [0.75, 0.25]
