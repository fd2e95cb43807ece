from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from preceptor.artifacts.record import read_record, write_record
from preceptor.errors import UsageError
from records import made_record


def test_what_is_written_is_read(tmp_path: Path) -> None:
    record = made_record(test={"accuracy": 0.25, "nll": math.inf, "truth_mse": None}, class_names=("x", "y", "z"))
    write_record(tmp_path / "result.json", record)
    assert read_record(tmp_path / "result.json") == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "one"}, r"result\.json: seed: input should be a valid integer, got 'one'; the file is damaged"),
        ({"version": 3}, r"version: input should be 4, got 3"),
        ({"reuse": None}, r"reuse: extra inputs are not permitted"),
    ],
)
def test_another_record_is_refused_by_its_key(change: dict[str, object], message: str, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    write_record(file, made_record())
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(UsageError, match=message):
        read_record(file)


def test_a_changed_byte_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    write_record(file, made_record(seed=1))
    content = file.read_bytes()
    assert content.count(b'"seed": 1') == content.count(b'"sha256": "') == 1
    for changed in (content.replace(b'"seed": 1', b'"seed": 3'), content.replace(b'"sha256": "', b'"sha257": "')):
        file.write_bytes(changed)
        with pytest.raises(UsageError, match=r"result\.json: "):
            read_record(file)


def test_half_a_record_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    write_record(file, made_record())
    file.write_text(file.read_text()[:50])
    with pytest.raises(UsageError, match=r"result\.json: cannot be read"):
        read_record(file)
