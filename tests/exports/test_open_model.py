"""One way to predict from any model: normalised where its file is not, probabilities whatever it returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from preceptor.artifacts.identify import run_metadata
from preceptor.artifacts.run_folder import RunFolder
from preceptor.errors import UsageError
from preceptor.exports.open_model import OpenModel, open_model
from preceptor.models import ModelMetadata
from preceptor.types import Preprocessing

MEAN, STD = (0.1, 0.2, 0.3), (2.0, 3.0, 4.0)
PIXELS = torch.randint(0, 256, (4, 3, 1, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def opened(**options: Any) -> OpenModel:
    metadata = ModelMetadata({"name": "own"}, ("a", "b", "c"), (3, 1, 1), "uint8", Preprocessing(MEAN, STD), **options)
    return OpenModel(metadata, lambda samples: samples.flatten(1).float())


def normalised() -> Tensor:
    return (PIXELS.flatten(1) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)


def test_samples_are_normalised_outside_the_file_or_inside_it() -> None:
    torch.testing.assert_close(opened().outputs(PIXELS), normalised())
    assert torch.equal(opened(normalise="inside").outputs(PIXELS), PIXELS.flatten(1).float())


def test_probabilities_are_made_of_logits_and_kept_otherwise() -> None:
    torch.testing.assert_close(opened().probabilities(PIXELS), normalised().softmax(1))
    torch.testing.assert_close(opened(task="multilabel").probabilities(PIXELS), normalised().sigmoid())
    torch.testing.assert_close(opened(output="probabilities").probabilities(PIXELS), normalised())


def test_a_run_and_its_metadata(two_runs: Path) -> None:
    metadata, record = run_metadata(RunFolder(two_runs / "a")), RunFolder(two_runs / "a").read_record()
    assert metadata.class_names == tuple(str(digit) for digit in range(10))
    assert metadata.preprocessing == record.preprocessing
    model = open_model(two_runs / "a")
    assert model.metadata == metadata
    pixels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    torch.testing.assert_close(model.probabilities(pixels).sum(1), torch.ones(2))


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_bytes(b"not a model")
    with pytest.raises(UsageError, match=r"model.txt: is no .onnx, .pt2 or .safetensors file"):
        open_model(tmp_path / "model.txt")
