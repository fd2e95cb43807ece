from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from preceptor.checksums import (
    PLACEHOLDER,
    check_json,
    fill_in,
    is_intact,
    json_with_checksum,
    seal_zip,
    sha256_of,
    sha256_of_file,
)
from preceptor.errors import UsageError


def test_a_file_has_the_sum_that_the_system_says(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(range(256)) * 5000)  # more than a block
    said = subprocess.run(["sha256sum", str(file)], capture_output=True, text=True, check=True).stdout
    assert sha256_of_file(file) == sha256_of(file.read_bytes()) == said.split()[0]


def test_the_sum_of_nothing_is_the_standards() -> None:
    assert (
        sha256_of(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )  # FIPS 180-4's empty message


@pytest.mark.parametrize("at", [0, 3, 10])
def test_every_bit_counts(at: int) -> None:
    content = fill_in(b"0123456789"[:at] + PLACEHOLDER + b"0123456789"[at:], at)
    assert is_intact(content, at)
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not is_intact(bytes(flipped), at)


def test_a_file_too_short_for_a_sum_has_none() -> None:
    assert not is_intact(b"", -64)
    assert not is_intact(b"0" * 63, 0)


def test_a_zip_file_stays_one() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        opened.writestr("a", "text")
    seal_zip(content)
    sealed = content.getvalue()
    assert is_intact(sealed, len(sealed) - 64)
    assert zipfile.ZipFile(io.BytesIO(sealed)).read("a") == b"text"


def test_json_stays_json_and_every_byte_of_it_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    content = json_with_checksum(json.dumps({"seed": 1, "name": "Größe"}, indent=1)).encode()
    path.write_bytes(content)
    check_json(path)
    values = json.loads(content)
    assert [*values] == ["seed", "name", "sha256"]
    assert values["seed"] == 1
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        with pytest.raises(
            UsageError, match=r"a\.json: is damaged, or was changed since it was written \(its sha256 differs\)"
        ):
            check_json(path)


@pytest.mark.parametrize("content", ["", "{}", '{"seed": 1}'])
def test_json_without_a_sum_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UsageError, match="is damaged"):
        check_json(tmp_path / "a.json")


def test_a_missing_file_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        check_json(tmp_path / "a.json")
