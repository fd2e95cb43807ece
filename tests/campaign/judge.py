"""What became of a command on a damaged file, in one word, and which words are failures of ours."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file

from campaign.child import Ended
from campaign.formats import IS_TEXT, read
from campaign.subjects import Subject

__all__ = ["BAD", "GOOD", "content_of", "judged", "result_of"]

GOOD = {
    "refused": "an exit status of 1 or 2 and one line that begins with error:",
    "told": "carried out, and a line names the file",
    "mended": "the file was made anew, as it was before",
    "harmless": "carried out with the same result; what the file says is the same",
    "other data": "a file of the user's own that says something else, and is read as what it says",
    "long run": "a setting of the user's own that asks for more than the time limit; epochs were trained",
}
BAD = {
    "unnoticed": "a file of ours has another content, and the command ended as if it had not",
    "other result": "the same, and the command's result differs",
    "bare exception": "the message is that of a Python exception",
    "traceback": "a traceback",
    "several lines": "an error of no line or of several",
    "hang": "stopped by the time limit",
    "crash": "killed by a signal of the system",
    "memory": "stopped by the memory limit",
    "reached out": "the network, or a program started by the shell",
}
_TIMES = {"seconds", "images_per_second", "started", "finished", "command", "git", "versions"}


def result_of(kind: str, folder: Path, out: str) -> Any:
    """Return what a command made, without times.

    Args:
        kind: "stdout", "run:FOLDER", "runs:PATTERN", "file:FILE", "files:PATTERN" or "weights:FILE".
        folder: where it ran.
        out: what it wrote to stdout.
    """
    form, _, where = kind.partition(":")
    if form == "stdout":
        return out
    if form == "run":
        return _run(folder / where)
    if form == "runs":
        return {path.name: _run(path) for path in sorted(folder.glob(where)) if path.is_dir()}
    if form == "files":
        return {path.name: _digest(path.read_bytes()) for path in sorted(folder.glob(where)) if path.is_file()}
    if form == "weights":
        return _weights(folder / where)
    path = folder / where
    return _timeless(json.loads(path.read_text())) if path.suffix == ".json" else path.read_text()


def judged(
    subject: Subject, ended: Ended, undamaged: Ended, *, same: bool | None, content: str, is_in_result: bool = False
) -> str:
    """Return the word.

    Args:
        subject: the file and the command.
        ended: the command on the damaged file.
        undamaged: the command on the undamaged file.
        same: whether the result is that of the undamaged file; None: there is none.
        is_in_result: whether what the command made, a report, names the file as it would not otherwise.
        content: of the file: "same", "mended" where it is again what it was, "other".
    """
    if "reached out: " in ended.err:
        return "reached out"
    if ended.timed_out:
        return "long run" if not subject.is_ours and re.search(r"epoch +\d", ended.err) else "hang"
    if "Traceback (most recent call last)" in ended.err:
        return "traceback"
    if ended.status < 0:
        return "crash"
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    if ended.status:
        if any(re.search(r"MemoryError|out of memory|can't allocate|Cannot allocate", line) for line in errors):
            return "memory"
        if any("(--debug shows where)" in line for line in errors):
            return "bare exception"
        return "refused" if len(errors) == 1 and ended.status in (1, 2) else "several lines"
    if content == "mended" and same and subject.mends:
        return "mended"
    if _names(subject, ended) > _names(subject, undamaged) or is_in_result:
        return "told"
    if content == "same" and same:
        return "harmless"
    if not subject.is_ours:
        return "harmless" if same else "other data"
    return "unnoticed" if same else "other result"


def content_of(subject: Subject, path: Path) -> Any:
    """Return what a file says: of texts what is parsed, of others the bytes."""
    if not path.is_file():  # a FIFO is not opened, a device not read
        return None
    try:
        if subject.form in IS_TEXT and subject.form != "text":
            return repr(read(subject.form, path))
        return path.read_bytes()
    except Exception:  # damaged
        return None


def _names(subject: Subject, ended: Ended) -> int:
    """Return how many lines of what a command said name the file, or the run that it belongs to as damaged."""
    name = max(Path(subject.file).name.split("*"), key=len)
    text = ended.err if subject.result == "stdout" else ended.err + ended.out
    return "".join(text.split()).count(name)  # lines may be wrapped within it


def _run(folder: Path) -> Any:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    record = json.loads((folder / "result.json").read_text())
    return _weights(folder / "model.safetensors"), _timeless(rows), _timeless(record["history"]), record["test"]


def _weights(path: Path) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
    with safe_open(path, framework="pt") as opened:
        digest.update(json.dumps(opened.metadata(), sort_keys=True).encode())
    return digest.hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if key not in _TIMES}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
