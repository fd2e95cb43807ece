from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import preceptor
from preceptor.checksums import json_with_checksum
from preceptor.data import TableFit, load
from preceptor.data.sources.table_fit import Numeric
from preceptor.errors import UsageError

ROWS = [
    {"age": "20", "colour": "red", "id": "a", "kind": "yes"},
    {"age": "30", "colour": "blue", "id": "b", "kind": "no"},
    {"age": "40", "colour": "red", "id": "c", "kind": "yes"},
    {"age": "50", "colour": "green", "id": "d", "kind": "no"},
]


def write(file: Path, rows: list[dict[str, str]], separator: str = ",") -> Path:
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return file


def options(test: Path | None = None, **more: object) -> dict[str, object]:
    return {"target": "kind", "ignore": ["id"], **({} if test is None else {"test": str(test)}), **more}


def test_numbers_are_standardised_and_categories_are_one_hot(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ROWS)
    test = write(tmp_path / "test.csv", [{"age": "35", "colour": "mauve", "id": "e", "kind": "yes"}])
    data = load(f"table:{train}", options=options(test), validation=0)
    assert data.class_names == ("no", "yes")
    assert data.train.labels.tolist() == [1, 0, 1, 0]
    std = float(np.std([20, 30, 40, 50]))
    expected = [[-15 / std, 0, 0, 1], [-5 / std, 1, 0, 0], [5 / std, 0, 0, 1], [15 / std, 0, 1, 0]]
    torch.testing.assert_close(data.train.inputs(torch.arange(4)), torch.tensor(expected))
    assert data.test.inputs(torch.tensor([0])).tolist() == [[0, 0, 0, 0]]  # no category that was trained on
    assert any("one-hot, with the number of categories: colour (3)" in note for note in data.notes)
    assert any("1 numeric columns, standardised by the training rows'" in note for note in data.notes)


def test_missing_values_are_refused_or_indicated(tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS]
    rows[2]["age"], rows[1]["colour"] = "", "NA"
    train, test = write(tmp_path / "train.csv", rows), write(tmp_path / "test.csv", ROWS[:1])
    with pytest.raises(
        UsageError, match=r"column age has 1 missing values, the first in row 3; data\.missing=indicator"
    ):
        load(f"table:{train}", options=options(test))
    data = load(f"table:{train}", options=options(test, missing="indicator"), validation=0)
    inputs = data.train.inputs(torch.arange(4))
    assert inputs[:, 1].tolist() == [0, 0, 1, 0]
    assert inputs[2, 0] == 0  # the mean
    assert inputs[:, 2:].tolist() == [[0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]  # green, red, missing


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = load_digits()
    rows = [
        {**{f"pixel{k}": f"{v:g}" for k, v in enumerate(values)}, "digit": str(label)}
        for values, label in zip(table.data[:600], table.target[:600], strict=True)
    ]
    return write(tmp_path_factory.mktemp("tables") / "digits.csv", rows, ";")


def test_statistics_are_those_of_the_training_rows(digits: Path) -> None:
    data = load(f"table:{digits}", options={"target": "digit"}, validation=0)
    assert (len(data.train), len(data.test)) == (480, 120)
    assert data.class_names == tuple(str(k) for k in range(10))
    inputs = data.train.inputs(torch.arange(480)).double()
    varying = inputs.std(0, unbiased=False) > 0
    assert inputs.mean(0).abs().max() < 1e-6
    assert (inputs.std(0, unbiased=False)[varying] - 1).abs().max() < 1e-6
    assert data.test.inputs(torch.arange(120)).mean(0).abs().max() > 1e-3


def test_a_teacher_and_a_student_of_a_table(digits: Path, tmp_path: Path) -> None:
    section = {"name": f"table:{digits}", "target": "digit"}
    teacher = preceptor.teach(data=section, model="mlp", epochs=15, out=tmp_path / "t", progress=False)
    assert teacher.metrics.accuracy > 0.8
    small = {"name": "mlp", "widths": [16]}
    student = preceptor.distill(
        data=section, teacher=teacher, model=small, epochs=40, out=tmp_path / "s", progress=False
    )
    assert student.metrics.accuracy > 0.6
    assert preceptor.evaluate(student.path) == student.metrics


def test_parquet_is_the_same_table(digits: Path, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # noqa: PLC0415

    with digits.open() as opened:
        rows = list(csv.DictReader(opened, delimiter=";"))
    columns = {name: [int(row[name]) for row in rows] for name in rows[0]}
    parquet.write_table(arrow.table(columns), tmp_path / "digits.parquet")
    one = load(f"table:{tmp_path / 'digits.parquet'}", options={"target": "digit"})
    assert one.fingerprint == load(f"table:{digits}", options={"target": "digit"}).fingerprint


@pytest.mark.parametrize(
    ("change", "wrong", "message"),
    [
        ({}, {"target": "sort"}, r"data\.target: .* has no column 'sort'; it has age, colour, id, kind"),
        ({}, {"ignore": ["sort"]}, r"data\.ignore: .* has no column 'sort'"),
        ({}, {"missing": "guess"}, r"data\.missing: 'guess' is neither refuse nor indicator"),
        ({}, {"ignore": ["id", "age", "colour"]}, r"has no column beside kind"),
        ({"kind": ""}, {}, r"column kind is empty in row 1"),
        ({"kind": "no", "age": "x"}, {"target": "age", "ignore": ["kind"]}, None),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, change: dict[str, str], wrong: dict[str, object], message: str | None
) -> None:
    train = write(tmp_path / "train.csv", [{**ROWS[0], **change}, *ROWS[1:]])
    test = write(tmp_path / "test.csv", [{**ROWS[0], **change}])
    settings = options(test, **wrong)
    if message is None:
        assert load(f"table:{train}", options=settings).num_classes == 4
        return
    with pytest.raises(UsageError, match=message):
        load(f"table:{train}", options=settings)


def test_tables_that_do_not_fit_are_named(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ROWS)
    other = write(tmp_path / "test.csv", [{"age": "1", "id": "a", "kind": "yes"}])
    with pytest.raises(UsageError, match=r"data\.test: .*test\.csv has no column 'colour'"):
        load(f"table:{train}", options=options(other))
    write(other, [{**ROWS[0], "kind": "maybe"}])
    with pytest.raises(UsageError, match=r"class 'maybe' is not among those of the training rows: no, yes"):
        load(f"table:{train}", options=options(other))
    write(other, [{**ROWS[0], "age": "old"}])
    with pytest.raises(UsageError, match=r"'old' in row 1 of column age is no number"):
        load(f"table:{train}", options=options(other))
    other.write_text("age,kind\n1,yes,2\n")
    with pytest.raises(UsageError, match=r"line 2 has 3 values, the header 2 names"):
        load(f"table:{other}", options={"target": "kind"})
    other.write_text("age,age\n1,yes\n")
    with pytest.raises(UsageError, match=r"has two columns named 'age'"):
        load(f"table:{other}", options={"target": "kind"})
    other.write_text("age,kind\n")
    with pytest.raises(UsageError, match="has no rows"):
        load(f"table:{other}", options={"target": "kind"})
    other.write_text("age,kind\n1,a\n2,a\n")
    with pytest.raises(UsageError, match="has only the class 'a'"):
        load(f"table:{other}", options={"target": "kind"})
    with pytest.raises(UsageError, match=r"gone\.csv: no such file"):
        load(f"table:{tmp_path / 'gone.csv'}", options={"target": "kind"})
    other.with_suffix(".parquet").write_bytes(b"none")
    with pytest.raises(UsageError, match=r"test\.parquet: cannot be read"):
        load(f"table:{other.with_suffix('.parquet')}", options={"target": "kind"})


def test_names_and_measurements_are_no_classes_or_categories(tmp_path: Path) -> None:
    rows = [{"name": f"n{k}", "size": str(k / 7), "kind": str(k % 2)} for k in range(60)]
    file = write(tmp_path / "t.csv", rows)
    with pytest.raises(UsageError, match=r"column name has 48 different words in 48 rows; .*data\.ignore=\[name\]"):
        load(f"table:{file}", options={"target": "kind"})
    with pytest.raises(UsageError, match=r"column size of .* has 60 different values in 60 rows; those are no classes"):
        load(f"table:{file}", options={"target": "size"})
    rows = [{"gap": "", "kind": str(k % 2)} for k in range(60)]
    with pytest.raises(UsageError, match=r"column gap has no value in any training row"):
        load(f"table:{write(file, rows)}", options={"target": "kind"})


def test_a_fit_reads_another_file_as_its_own(tmp_path: Path) -> None:
    own = load(f"table:{write(tmp_path / 'own.csv', ROWS)}", options=options(), validation=0)
    assert own.table is not None
    fit = TableFit.read(json.loads(json.dumps(own.table.as_dict())), "here")
    assert fit == own.table
    rows = [{"kind": "yes", "colour": "red", "more": "x", "age": str(1000 * k)} for k in range(1, 6)]
    other = load(f"table:{write(tmp_path / 'other.csv', rows)}", fit=fit, validation=0, trained_on=())
    assert other.class_names == ("no", "yes")  # though one of them has no row
    age = fit.encoders[0]
    assert isinstance(age, Numeric)
    ages = (1000 * torch.arange(1, 6) - age.mean) / age.std
    seen = other.test.inputs(torch.arange(5))
    assert sorted(seen[:, 0].tolist()) == pytest.approx(ages.tolist())
    assert seen.shape[1] == own.input_shape[0]
    assert any("other.csv: not used: more" in note for note in other.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"age": "1", "kind": "no"}, r"other\.csv has no column 'colour'; the network needs it"),
        ({"age": "1", "colour": "teal", "kind": "no"}, r"column colour has none of the categories .*, but 'teal'"),
        ({"age": "old", "colour": "red", "kind": "no"}, r"'old' in row 1 of column age is no number"),
        ({"age": "1", "colour": "red", "kind": "c"}, r"class 'c' is not among those of the training rows: no, yes"),
    ],
)
def test_a_file_that_a_fit_cannot_read_is_refused(tmp_path: Path, row: dict[str, str], message: str) -> None:
    fit = load(f"table:{write(tmp_path / 'own.csv', ROWS)}", options=options(), validation=0).table
    with pytest.raises(UsageError, match=message):
        load(f"table:{write(tmp_path / 'other.csv', [row] * 5)}", fit=fit)


def test_unknown_categories_of_some_rows_are_said(tmp_path: Path) -> None:
    fit = load(f"table:{write(tmp_path / 'own.csv', ROWS)}", options=options(), validation=0).table
    rows = [{"age": "1", "colour": colour, "kind": "no"} for colour in ("red", "teal", "red", "grey", "red")]
    notes = load(f"table:{write(tmp_path / 'other.csv', rows)}", fit=fit).notes
    assert any(
        "2 of 5 rows have a category of column colour" in note and note.endswith("'grey', 'teal'") for note in notes
    )


def test_what_is_no_fit_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "own.csv", ROWS)
    with pytest.raises(
        UsageError, match=r"data\.fit: .*empty is neither the folder of a finished run nor one for the Hub"
    ):
        load(f"table:{file}", options=options(fit=str(tmp_path / "empty")))
    (tmp_path / "result.json").write_text(json_with_checksum(json.dumps({"table": {"target": "kind"}}, indent=1)))
    with pytest.raises(
        UsageError,
        match=r"data\.fit: .*result\.json: the description of the table's columns: class_names: field required",
    ):
        load(f"table:{file}", options=options(fit=str(tmp_path)))
    (tmp_path / "result.json").write_text(json_with_checksum(json.dumps({"table": None}, indent=1)))
    with pytest.raises(UsageError, match=r"data\.fit: .* was not trained on a table"):
        load(f"table:{file}", options=options(fit=str(tmp_path)))
    with pytest.raises(UsageError, match=r"data\.target: is needed without data\.fit"):
        load(f"table:{file}")


def test_the_first_difference_of_two_fits_is_named(tmp_path: Path) -> None:
    first = load(f"table:{write(tmp_path / 'a.csv', ROWS)}", options=options(), validation=0).table
    older = [{**row, "age": str(int(row["age"]) + 10)} for row in ROWS]
    second = load(f"table:{write(tmp_path / 'b.csv', older)}", options=options(), validation=0).table
    without = load(f"table:{tmp_path / 'a.csv'}", options={"target": "kind", "ignore": ["id", "age"]}).table
    assert first is not None and second is not None and without is not None  # noqa: PT018
    assert first.differs(first) is None
    assert "column age is numbers with mean" in str(first.differs(second))
    assert first.differs(without) == "column age is there only"


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index"])
def test_row_numbers_are_no_inputs(tmp_path: Path, name: str) -> None:
    rows = [{name: str(row), "x": str(row * 7 % 5), "kind": "ab"[row >= 20]} for row in range(40)]
    data = load(f"table:{write(tmp_path / 't.csv', rows)}", options={"target": "kind"})
    assert data.input_shape == (1,)
    assert any("left out, because they number or name the rows: " in note for note in data.notes)
    assert any(note.endswith("standardised by the training rows' mean and std: x") for note in data.notes)


@pytest.mark.parametrize("index", ["__index_level_0__", "patient"])
def test_an_index_that_pandas_stored_is_no_input(tmp_path: Path, index: str) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"x": [0.5 * row for row in range(40)], "kind": ["ab"[row >= 20] for row in range(40)]}
    stored = pyarrow.table({**columns, index: list(range(40, 0, -1))})
    stored = stored.replace_schema_metadata({"pandas": json.dumps({"index_columns": [index]})})
    parquet.write_table(stored, tmp_path / "t.parquet")
    assert load(f"table:{tmp_path / 't.parquet'}", options={"target": "kind"}).input_shape == (1,)


def test_infinity_and_commas_of_two_meanings_are_refused(tmp_path: Path) -> None:
    rows = [{"x": str(row), "kind": str(row % 2)} for row in range(10)]
    rows[0]["x"] = "-inf"
    with pytest.raises(UsageError, match=r"column x: '-inf' is no finite number \(1 of 8 training rows\)"):
        load(f"table:{write(tmp_path / 't.csv', rows)}", options={"target": "kind"})
    rows = [{"x": f"{1 + row},250", "kind": str(row % 2)} for row in range(10)]
    with pytest.raises(UsageError, match=r"column x: '\d+,250' has commas for decimals or thousands"):
        load(f"table:{write(tmp_path / 't.csv', rows)}", options={"target": "kind"})


def test_a_class_called_none_is_a_class(tmp_path: Path) -> None:
    rows = [{"x": str(row), "kind": ("None", "mild", "NA")[row % 3]} for row in range(30)]
    data = load(f"table:{write(tmp_path / 't.csv', rows)}", options={"target": "kind"})
    assert data.class_names == ("NA", "None", "mild")
