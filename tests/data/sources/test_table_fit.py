from __future__ import annotations

import math

import pytest
import torch

from preceptor.data.sources.table_fit import Categorical, Numeric, TableFit
from preceptor.errors import UsageError

FIT = TableFit("label", ("no", "yes"), "indicator", (Numeric("x", 2.0, 4.0, True), Categorical("c", ("a", "b", None))))


def test_columns_become_numbers() -> None:
    inputs = FIT.inputs({"c": ["b", None, "new"], "x": ["10", None, "2"], "other": ["", "", ""]}, "here")
    expected = [[2.0, 0.0, 0, 1, 0], [0.0, 1.0, 0, 0, 1], [0.0, 0.0, 0, 0, 0]]
    torch.testing.assert_close(inputs, torch.tensor(expected))


def test_inputs_become_columns_again() -> None:
    cells = {"x": ["10", None, "2", "0.001", "123457"], "c": ["b", None, "new", "a", "a"]}
    columns = FIT.columns(FIT.inputs(cells, "here"))
    assert columns["c"].tolist() == ["b", None, None, "a", "a"]
    numbers = columns["x"].tolist()
    assert numbers[0::2] == [10.0, 2.0, 123457.0]  # whole numbers as such
    assert math.isnan(numbers[1])
    assert numbers[3] == pytest.approx(0.001, abs=1e-5)


def test_plain_values_make_the_same_fit() -> None:
    assert TableFit.read(FIT.as_dict(), "here") == FIT
    with pytest.raises(UsageError, match="here: the description of the table's columns: class_names: field required"):
        TableFit.read({"target": "label"}, "here")


def test_new_columns_and_categories_are_noted() -> None:
    columns = {"x": ["1", "2"], "c": ["a", "new"], "other": ["", ""]}
    unused, unknown = FIT.notes(columns, "here")
    assert unused == "table: here: not used: other"
    assert "1 of 2 rows have a category of column c that no training row has, and count as none: 'new'" in unknown
    with pytest.raises(UsageError, match="none of the categories 'a', 'b', None that the network knows, but 'new'"):
        FIT.notes({"x": ["1", "2"], "c": ["new", "new"]}, "here")


def test_the_first_difference_is_described() -> None:
    other = TableFit("label", ("no", "yes"), "indicator", (Numeric("x", 2.0, 5.0, True), FIT.encoders[1]))
    assert FIT.differs(FIT) is None
    said = FIT.differs(other)
    assert said is not None
    assert "std 4 and an indicator there" in said
    assert "std 5 and an indicator here" in said
