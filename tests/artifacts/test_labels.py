"""Stored labels of a recipe: those that fit, and each difference of those that do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from preceptor.artifacts.fingerprints import fingerprint
from preceptor.artifacts.labels import open_labels
from preceptor.config.overrides import make_recipe
from preceptor.config.sections import DistillRecipe
from preceptor.data import Data, load
from preceptor.errors import UsageError
from preceptor.labels import Encoding, LabelSource, LabelStore, Manifest, write_labels


@pytest.fixture(scope="module")
def data() -> Data:
    return load("digits", limit=30, test_limit=10)


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    return nn.Linear(1, 1)


@pytest.fixture(scope="module")
def folder(data: Data, teacher: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = len(data.train)
    source = LabelSource((fingerprint(teacher),), data.fingerprint, samples, "flip", 0, Encoding(10), "fp32")

    def predict(requests: Iterable[tuple[int, Tensor]]) -> Iterator[Tensor]:
        return (torch.zeros(len(rows), 10) for _, rows in requests)

    folder = tmp_path_factory.mktemp("labels") / "l"
    manifest = Manifest(source, {"data": "digits", "teacher": "t"}, views=1, rows_per_shard=samples)
    write_labels(folder, manifest, predict, batch_size=16)
    return folder


def opened(folder: Path, data: Data, *words: str, teacher: nn.Module | None = None) -> LabelStore:
    overrides = ["data=digits", "model=mlp", f"labels={folder}", *words]
    recipe = make_recipe(DistillRecipe, overrides=overrides)
    return open_labels(recipe, recipe.student_inputs, teacher, data)


def test_labels_that_fit_are_opened(folder: Path, data: Data, teacher: nn.Module) -> None:
    assert opened(folder, data).folder == folder
    assert opened(folder, data, "data.view=flip", teacher=teacher).views == 1


def test_every_difference_is_named(folder: Path, data: Data) -> None:
    other = load("digits", limit=40, test_limit=10)
    with pytest.raises(UsageError) as caught:
        opened(folder, other, "data.view=none", teacher=nn.Linear(1, 1))
    message = str(caught.value)
    assert message.startswith(
        f"labels: {folder} are other labels: data: digits ({data.fingerprint}, {len(data.train)} "
    )
    assert (
        f"digits ({other.fingerprint}, {len(other.train)}) here; data.view: flip there, none here; teacher: " in message
    )


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("inputs=mixup", "inputs"),
        ("unlabelled=digits", "unlabelled"),
        ("teacher.anchors=kept", "teacher.anchors"),
        ("teacher.truth=true", "teacher.truth"),
        ("teacher.assistants=mlp", "teacher.assistants"),
    ],
)
def test_what_needs_other_outputs_than_are_stored_is_refused(folder: Path, data: Data, word: str, key: str) -> None:
    with pytest.raises(UsageError, match=rf"^{key}: cannot be used with labels=.*the data's own views only$"):
        opened(folder, data, word)
