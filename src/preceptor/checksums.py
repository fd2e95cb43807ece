"""Checksums: the sha256 of a file, and files that hold 64 digits of a sha256 over all their other bytes.

Where the digits are depends on the kind of file: at the end of zip and JSON files, in the header of safetensors.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from preceptor.errors import UsageError

__all__ = [
    "CHANGED",
    "CHECKSUM_KEY",
    "PLACEHOLDER",
    "SEAL",
    "check_json",
    "fill_in",
    "is_intact",
    "json_with_checksum",
    "seal_zip",
    "sha256_of",
    "sha256_of_file",
]

CHECKSUM_KEY = "preceptor_sha256"  # in the metadata of files that have some
PLACEHOLDER = b"0" * 64
CHANGED = "is damaged, or was changed since it was written (its sha256 differs)"  # of a file, for messages

_DIGITS = len(PLACEHOLDER)
_BLOCK = 2**20
SEAL = "sha256"  # the last key of a JSON file that holds its own checksum
_KEY, _END = f' "{SEAL}": "'.encode(), b'"\n}\n'  # of a JSON file that ends with its checksum
_COMMENT_LENGTH = 2  # bytes, the last ones of a zip file without a comment


def sha256_of(content: bytes | memoryview) -> str:
    """Return the sha256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits.

    Raises:
        OSError: when it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fill_in(content: bytes, at: int) -> bytes:
    """Return content with the sha256 of its other bytes in place of the 64 bytes that begin at `at`."""
    return content[:at] + _of_others(content, at).encode() + content[at + _DIGITS :]


def is_intact(content: bytes, at: int) -> bool:
    """Return whether the 64 bytes that begin at `at` are the sha256 of the other bytes.

    Examples:
        >>> filled = fill_in(PLACEHOLDER + b"weights", 0)
        >>> is_intact(filled, 0), is_intact(filled.replace(b"w", b"v"), 0)
        (True, False)
    """
    return at >= 0 and content[at : at + _DIGITS] == _of_others(content, at).encode()


def seal_zip(content: io.BytesIO) -> None:
    """Add a checksum to the end of a zip file without a comment, as its comment."""
    content.seek(-_COMMENT_LENGTH, io.SEEK_END)
    content.write(_DIGITS.to_bytes(_COMMENT_LENGTH, "little"))
    content.write(sha256_of(content.getbuffer()).encode())


def json_with_checksum(text: str) -> str:
    """Return the text of a JSON object, indented by one, with a last key "sha256": over all other bytes of the file."""
    content = text.rstrip().removesuffix("\n}").encode() + b",\n" + _KEY
    return (content + sha256_of(content + _END).encode() + _END).decode()


def check_json(path: Path) -> None:
    """Check a file that `json_with_checksum` made.

    Raises:
        UsageError: when it cannot be read, has no checksum, or another one than its content.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    at = len(content) - len(_END) - _DIGITS
    if not content.endswith(_END) or not is_intact(content, at) or not content[:at].endswith(_KEY):
        raise UsageError(f"{path}: {CHANGED}")


def _of_others(content: bytes, at: int) -> str:
    digest, view = hashlib.sha256(), memoryview(content)
    digest.update(view[:at])
    digest.update(view[at + _DIGITS :])
    return digest.hexdigest()
