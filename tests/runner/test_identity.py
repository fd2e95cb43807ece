"""What a run is made from, as fingerprints; what they are compared for is in tests/across/test_integrity.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from preceptor.config.resolve import resolve
from preceptor.config.sections import DataSection, ModelSection, TeachRecipe
from preceptor.data import Arrays, Data, load
from preceptor.labels import LabelStore, write_labels
from preceptor.runner.identity import fingerprints_of, identity_of
from preceptor.runner.load import LoadedInputs
from preceptor.runner.teachers import TeacherSet
from small_store import SOURCE, WANTED, predict

NOTHING = TeacherSet()


@pytest.fixture(scope="module")
def data() -> Data:
    return load("digits", limit=40, test_limit=20)


def test_only_what_there_is_has_a_fingerprint(data: Data) -> None:
    found = fingerprints_of(LoadedInputs(data, None, None), NOTHING, None)
    assert found.pop("data") == data.fingerprint
    assert set(found.values()) == {None}


def test_samples_without_labels_count(data: Data) -> None:
    pools = [Arrays(torch.full((3, 1, 8, 8), value, dtype=torch.uint8), torch.zeros(3).long()) for value in (1, 1, 2)]
    found = [fingerprints_of(LoadedInputs(data, pool, None), NOTHING, None)["unlabelled"] for pool in pools]
    assert found[0] == found[1] != found[2]


def test_stored_labels_count_with_all_that_they_depend_on(data: Data, tmp_path: Path) -> None:
    found = set()
    for seed in (7, 8):
        write_labels(tmp_path / str(seed), replace(WANTED, source=replace(SOURCE, view_seed=seed)), predict)
        inputs = LoadedInputs(data, None, LabelStore(tmp_path / str(seed)))
        prints = fingerprints_of(inputs, TeacherSet(store=inputs.store), None)
        assert prints["teacher"] == SOURCE.teachers[0]
        found.add(prints["labels"])
    assert len(found) == 2


def test_keys_that_change_nothing_are_no_part_of_it(data: Data) -> None:
    def identity(**keys: Any) -> dict[str, Any]:
        recipe = TeachRecipe(data=DataSection(name="digits"), model=ModelSection(name="convnet_s"), epochs=1, **keys)
        return identity_of(resolve(recipe, data), {})

    assert identity() == identity(device="cpu", workers=3, out="x", keep_every=2, resume=True)
    assert identity() != identity(seed=1)
