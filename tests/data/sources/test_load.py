from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preceptor.data import Source, check_source, load
from preceptor.data.sources import digits
from preceptor.errors import UsageError


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cifar1000", {}, r"unknown name 'cifar1000'; did you mean cifar100 or cifar10"),
        ("digits", {"size": 3}, r"data\.size: unknown key; there are none"),
        ("gaussian", {"dims": 3}, r"data\.dims: unknown key; did you mean dim\?"),
        ("cifar10", {}, r"data\.root: is needed and was not given"),
        ("digits:here", {}, r"data\.path: unknown key"),
        ("gaussian", {"dim": "many"}, r"data\.dim: input should be a valid integer, .*, got 'many'"),
        ("gaussian", {"priors": [0.5, "x"]}, r"data\.priors\.1: input should be a valid number, .*, got 'x'"),
        (
            "folder",
            {"path": "here", "in_memory": "perhaps"},
            r"data\.in_memory: input should be a valid boolean, .*, got 'perhaps'",
        ),
        ("table", {"path": "here", "target": ["a"]}, r"data\.target: input should be a valid string, got \['a'\]"),
    ],
)
def test_what_is_wrong_is_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(name, options=options)


def test_numbers_name_columns_and_arrays_and_paths_are_taken(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,5\n" + "0.5,a\n0.7,b\n" * 10)
    data = load("table", options={"path": tmp_path / "t.csv", "target": 5})
    assert data.class_names == ("a", "b")
    priors = np.array([0.9, 0.1])
    skewed = load("gaussian", options={"num_classes": 2, "priors": priors, "samples": 400})
    assert (
        skewed.fingerprint
        == load("gaussian", options={"num_classes": 2, "priors": priors.tolist(), "samples": 400.0}).fingerprint
    )


def test_an_error_of_our_own_is_not_taken_for_a_wrong_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def slip(*, size: int = 3) -> Source:
        return size + "a"  # type: ignore[operator,return-value]

    monkeypatch.setattr(digits, "digits", slip)
    with pytest.raises(TypeError, match="unsupported operand"):
        load("digits", options={"size": 4})


def test_a_name_and_its_options_are_checked_without_reading_anything() -> None:
    check_source("cifar100", {"root": "nowhere"})
    check_source("folder:nowhere", {})
    with pytest.raises(UsageError, match=r"data.root: is needed and was not given"):
        check_source("cifar100", {})
