"""Predictions matched to samples: by number, by id, by the names of classes; logits and probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from preceptor.data import Data, from_objects, load
from preceptor.errors import UsageError
from preceptor.labels import Predictions, from_array, logits_of_samples, read_predictions

COUNT = 60
X = np.random.default_rng(0).normal(size=(COUNT, 4)).astype(np.float32)
LABELS = np.arange(COUNT) % 3
LOGITS = np.stack([X[:, 0], 10 * X[:, 1], np.arange(COUNT)], 1).astype(np.float32)


def told(predictions: Predictions, data: Data, **options: Any) -> tuple[Tensor, list[str]]:
    notes: list[str] = []
    return logits_of_samples(predictions, data, tell=notes.append, **options), notes


def numbers_of(data: Data) -> list[int]:
    """Which rows of X the training samples are."""
    own = data.train.inputs(torch.arange(len(data.train))).numpy()
    return [int(np.flatnonzero((row == X).all(1))[0]) for row in own]


@pytest.fixture(scope="module")
def data() -> Data:
    return from_objects((X, LABELS), validation=0.25, limit=20)


def test_a_row_per_sample_of_the_source(data: Data) -> None:
    logits, notes = told(from_array(LOGITS), data)
    assert len(set(numbers_of(data))) == 20
    assert (logits.numpy() == LOGITS[numbers_of(data)]).all()
    assert "predictions: a row for each of the 60 samples of python; those of training are taken" in notes
    assert "predictions: read as logits, because rows are no distributions" in notes[1]


def test_a_row_per_training_sample(data: Data) -> None:
    logits, notes = told(from_array(LOGITS[:20]), data)
    assert (logits.numpy() == LOGITS[:20]).all()
    assert notes[0] == "predictions: a row for each of the 20 training samples, in their order"


def test_another_number_of_rows(data: Data) -> None:
    with pytest.raises(UsageError, match="has 59 rows, and data python has 60 samples, 20 of them for training"):
        told(from_array(LOGITS[1:]), data)


def test_probabilities_become_log_probabilities(data: Data) -> None:
    probabilities = np.array([[0.25, 0.75, 0.0]] * 20, dtype=np.float32)
    logits, notes = told(from_array(probabilities), data)
    assert logits[0].tolist() == pytest.approx(np.log([0.25, 0.75, 1e-12]).tolist())
    assert notes[-1] == (
        "predictions: read as probabilities, because each row sums to 1; predictions.kind=logits changes that"
    )
    assert (told(from_array(probabilities), data, kind="logits")[0].numpy() == probabilities).all()


@pytest.mark.parametrize(
    ("row", "values", "kind", "message"),
    [
        (7, [np.nan, 1, 1], None, "row 7 holds nan"),
        (7, [1, -np.inf, 1], None, "row 7 holds -inf"),
        (3, [0.5, 0.1, 0.1], None, "most rows are probabilities, but row 3 is not: its sum is 0.7"),
        (3, [0.5, 0.1, 0.1], "probabilities", "row 3 is no distribution: values from 0.1 to 0.5 with the sum 0.7"),
        (3, [1.5, -0.25, -0.25], "probabilities", "row 3 is no distribution: values from -0.25 to 1.5"),
    ],
)
def test_a_bad_row_is_named(data: Data, row: int, values: list[float], kind: Any, message: str) -> None:
    probabilities = np.full((20, 3), 1 / 3)
    probabilities[row] = values
    with pytest.raises(UsageError, match=message) as caught:
        told(from_array(probabilities), data, kind=kind)
    assert "\n" not in str(caught.value)


def test_bad_rows_of_samples_that_are_held_out_do_not_matter(data: Data) -> None:
    held_out = next(number for number in range(COUNT) if number not in numbers_of(data))
    changed = LOGITS.copy()
    changed[held_out] = np.nan
    assert (told(from_array(changed), data)[0].numpy() == LOGITS[numbers_of(data)]).all()


def with_ids(ids: list[Any], values: np.ndarray, path: Path) -> Predictions:
    np.savez(path, logits=values, id=np.array(ids))
    return read_predictions(path, "id")


def test_numbers_as_ids(data: Data, tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(COUNT)
    logits, _ = told(with_ids(order.tolist(), LOGITS[order], tmp_path / "p.npz"), data, id_column="id")
    assert (logits.numpy() == LOGITS[numbers_of(data)]).all()
    wanted = numbers_of(data)
    only = told(with_ids(wanted, LOGITS[wanted], tmp_path / "p.npz"), data, id_column="id")[0]
    assert only.equal(logits)


def test_ids_that_are_missing_foreign_or_there_twice(data: Data, tmp_path: Path) -> None:
    wanted = numbers_of(data)
    for ids, message in (
        (wanted[:-2], f"no row has the id {wanted[-2]} of a training sample; 2 of 20 are missing"),
        ([*wanted, wanted[4]], f"id {wanted[4]} is there twice, in rows 4 and 20"),
        ([*wanted, 99], r"row 20 \(id 99\) is of no sample; the samples of python are called 0, 1, 2, ..."),
    ):
        with pytest.raises(UsageError, match=message):
            told(with_ids(ids, LOGITS[: len(ids)], tmp_path / "p.npz"), data, id_column="id")


def table(folder: Path) -> Data:
    rows = [f"s{k},{X[k, 0]},{('low', 'high')[k % 2]}" for k in range(COUNT)]
    (folder / "t.csv").write_text("\n".join(["id,x,income", *rows]) + "\n")
    return load("table:" + str(folder / "t.csv"), options={"target": "income", "ignore": ["id"]})


def test_columns_and_ids_of_a_table(tmp_path: Path) -> None:
    data = table(tmp_path)
    assert data.train.numbers is not None
    assert data.class_names == ("high", "low")
    rows = [f"s{k},{k},{-k}" for k in reversed(range(COUNT))]
    for header in ("id,low,high", "id,logit_low,logit_high"):
        (tmp_path / "p.csv").write_text("\n".join([header, *rows]) + "\n")
        logits, _ = told(read_predictions(tmp_path / "p.csv", "id"), data, id_column="id")
        assert logits[:, 1].tolist() == data.train.numbers.tolist()
        assert logits[:, 0].tolist() == (-data.train.numbers).tolist()
    (tmp_path / "p.csv").write_text("\n".join(["id,0,1", *rows]) + "\n")
    logits, notes = told(read_predictions(tmp_path / "p.csv", "id"), data, id_column="id")
    assert logits[:, 0].tolist() == data.train.numbers.tolist()
    assert notes[0] == "predictions: columns 0, 1 are the classes in their order: high, low"


@pytest.mark.parametrize(
    ("header", "id_column", "message"),
    [
        ("id,low,hgh", "id", r"2 columns, which are not the 2 classes of data .* \(only there: hgh; only here: high\)"),
        (
            "id,low,high",
            None,
            r"3 columns, which are not the 2 classes .*\(only there: id\); predictions\.id=id if that names",
        ),
        ("row,low,high", "row", r"has no column 'row' that names its samples; it has id"),
    ],
)
def test_columns_that_are_no_classes(header: str, id_column: str | None, message: str, tmp_path: Path) -> None:
    data = table(tmp_path)
    first = "s" if id_column == "row" else ""
    (tmp_path / "p.csv").write_text("\n".join([header, *(f"{first}{k},{k},{-k}" for k in range(COUNT))]) + "\n")
    with pytest.raises(UsageError, match=message):
        told(read_predictions(tmp_path / "p.csv", id_column), data, id_column=id_column)


def test_a_folder_of_images_is_matched_by_its_files(tmp_path: Path) -> None:
    files = [f"{('cat', 'dog')[k % 2]}/{k}.png" for k in range(20)]
    for number, file in enumerate(files):
        place = tmp_path / "photos" / file
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(place)
    data = load("folder:" + str(tmp_path / "photos"))
    rows = [f"{file},{k},0" for k, file in enumerate(files)]
    (tmp_path / "p.csv").write_text("\n".join(["path,cat,dog", *rows]) + "\n")
    logits, _ = told(read_predictions(tmp_path / "p.csv", "path"), data, id_column="path")
    pixels = data.train.inputs(torch.arange(len(data.train)))[:, 0, 0, 0]
    assert logits[:, 0].tolist() == pixels.tolist()
    (tmp_path / "p.csv").write_text("path,cat,dog\nphotos/cat/0.png,1,0\n")
    with pytest.raises(UsageError, match=r"row 1 \(id photos/cat/0.png\) is of no sample; .* are called cat/0.png"):
        told(read_predictions(tmp_path / "p.csv", "path"), data, id_column="path")


def test_one_column_of_two_classes_is_the_second_one() -> None:
    data = from_objects((X, LABELS % 2), validation=0.0)
    shares = np.linspace(0, 1, COUNT)
    logits, _ = told(from_array(shares), data)
    assert data.train.numbers is not None
    assert logits.softmax(1)[:, 1].numpy() == pytest.approx(shares[data.train.numbers], abs=1e-6)
    assert told(from_array(shares), data, kind="logits")[0][:, 1].numpy() == pytest.approx(shares[data.train.numbers])


def test_labels_that_do_not_exclude_each_other() -> None:
    data = from_objects((X, np.eye(3, dtype=int)[LABELS] | np.eye(3, dtype=int)[(LABELS + 1) % 3]), validation=0.0)
    shares = np.random.default_rng(2).uniform(size=(COUNT, 3))
    logits, notes = told(from_array(shares), data)
    assert "read as probabilities, because all lie in [0, 1]" in notes[-1]
    assert data.train.numbers is not None
    assert logits.sigmoid().numpy() == pytest.approx(shares[data.train.numbers], abs=1e-6)


def test_another_number_of_columns(data: Data) -> None:
    with pytest.raises(UsageError, match="the array has 4 columns, and data python has 3 classes: 0, 1, 2"):
        told(from_array(X), data)
