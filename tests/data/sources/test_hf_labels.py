from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preceptor.data import Data, load
from preceptor.errors import UsageError

datasets = pytest.importorskip("datasets")


def saved(path: Path, **splits: list[Any]) -> str:
    tables = {
        name: datasets.Dataset.from_dict(
            {"x": np.random.default_rng(0).normal(size=len(labels)).tolist(), "label": labels}
        )
        for name, labels in splits.items()
    }
    datasets.DatasetDict(tables).save_to_disk(str(path / "d"))
    return f"hf:{path / 'd'}"


@pytest.mark.parametrize("numbers", [(1, 2), (3, 7, 20), (1.0, 2.0)])
def test_numbers_above_0_are_a_class_each(tmp_path: Path, numbers: tuple[float, ...]) -> None:
    labels = [numbers[row % len(numbers)] for row in range(30)]
    data = load(saved(tmp_path, train=labels, test=labels[:10]), validation=0)
    assert data.class_names == tuple(str(int(number)) for number in numbers)
    assert data.train.labels.tolist() == [row % len(numbers) for row in range(30)]
    assert data.test.labels.tolist() == data.train.labels.tolist()[:10]


def test_numbers_from_0_are_class_numbers_and_gaps_are_said(tmp_path: Path) -> None:
    data: Data = load(saved(tmp_path, train=[0, 1, 3] * 10, test=[0, 1, 3] * 3), validation=0)
    assert data.class_names == ("0", "1", "2", "3")
    assert "labels: of 4 classes, no training sample has 2" in data.notes


@pytest.mark.parametrize("missing", [None, -1])
def test_rows_without_a_label_are_named_in_one_line(tmp_path: Path, missing: Any) -> None:
    name = saved(tmp_path, train=[0, 1] * 5 + [missing, missing], test=[0, 1])
    with pytest.raises(UsageError, match=rf"train: 2 of 12 rows have no label in column label \({missing} in row 10\)"):
        load(name)


@pytest.mark.parametrize("missing", [None, -1])
def test_a_test_split_without_labels_is_skipped_and_it_is_said(tmp_path: Path, missing: Any) -> None:
    name = saved(tmp_path, train=[0, 1] * 10, validation=[0, 1, 1], test=[missing] * 4, extra=[0, 1])
    data = load(name)
    assert data.test.labels.tolist() == [0, 1, 1]
    assert {"hf: test has no labels and is skipped", "hf: splits not used: extra"} <= set(data.notes)
    with pytest.raises(UsageError, match="test: 4 of 4 rows have no label"):
        load(name, options={"test": "test"})
