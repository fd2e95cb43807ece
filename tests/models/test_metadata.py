"""What a file tells of the network in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from preceptor.errors import UsageError
from preceptor.models import METADATA_KEY, ModelMetadata, read_metadata, read_model_metadata, save_weights
from preceptor.types import Preprocessing

ONE = ModelMetadata(
    model={"name": "mlp", "widths": [4]},
    class_names=("a", "b"),
    input_shape=(3,),
    input_dtype="float32",
    preprocessing=Preprocessing((0.5,), (2.0,), channels=1, size=(8, 6), centre=0.6),
    output="probabilities",
)


def test_it_comes_out_of_a_file_as_it_went_in(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_weights(nn.Linear(3, 2), path, metadata={METADATA_KEY: ONE.as_json(), "format": "pt"})
    assert read_model_metadata(path) == ONE
    assert read_metadata(path)["format"] == "pt"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "does not describe its network, classes and normalisation"),
        ({METADATA_KEY: "{"}, "its description of the network: cannot be read"),
        ({METADATA_KEY: "{}"}, r"its description of the network: model: field required"),
    ],
)
def test_files_that_do_not_say(metadata: dict[str, str] | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_weights(nn.Linear(3, 2), path, metadata=metadata)
    with pytest.raises(UsageError, match=message):
        read_model_metadata(path)
