"""One process that trains, labels, measures and predicts for minutes: its memory and its open files must stay flat."""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaign.child import fork
from campaign.world import World

__all__ = ["soak"]

_DATA = {"name": "digits", "limit": 60, "test_limit": 40}
_COMMON: dict[str, Any] = {"data": _DATA, "model": "mlp", "batch_size": 16, "engine": "plain", "progress": False}
_GROWTH = 0.03  # share of the memory that still counts as flat


def soak(world: World, work: Path, minutes: float, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return what a process of so many minutes took: after each cycle its memory, its open files.

    Args:
        world: its teacher and its photographs.
        work: where it runs.
        minutes: of work.
        tell: is called with the figures so far.
    """
    shutil.rmtree(work, ignore_errors=True)
    world.copy(["t", "photos", "e"], work)
    log = work / "soak.jsonl"
    child = fork(lambda: _cycles(minutes, log), work, memory=None)
    told = time.monotonic()
    while child.poll() is None:
        time.sleep(0.5)
        if time.monotonic() - told > 60 and log.exists():
            told = time.monotonic()
            tell(_figures(log, minutes, 0))
    ended = child.wait(1.0)
    figures = _figures(log, minutes, ended.status) | ({"said": ended.err[-500:]} if ended.status else {})
    shutil.rmtree(work, ignore_errors=True)
    return figures


def _cycles(minutes: float, log: Path) -> int:
    import preceptor  # noqa: PLC0415  (imported by the parent)

    began, epochs = time.monotonic(), 0
    with log.open("a") as handle:
        while time.monotonic() - began < 60 * minutes:
            preceptor.teach(**_COMMON, epochs=10, objective="soteacher", out="a", overwrite=True)
            preceptor.distill(**_COMMON, epochs=10, teacher="t", method="crd", out="b", overwrite=True)
            preceptor.evaluate("a")
            preceptor.predict("e/t.safetensors", "one.png")
            epochs += 20
            row = {"epochs": epochs, "mib": _resident(), "files": len(os.listdir("/proc/self/fd"))}  # noqa: PTH208
            handle.write(json.dumps(row) + "\n")
            handle.flush()
    return 0


def _figures(log: Path, minutes: float, status: int) -> dict[str, Any]:
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    if len(rows) < 5:
        return {"minutes": minutes, "cycles": len(rows), "status": status, "outcome": "too short"}
    fifth = len(rows) // 5
    second, last = rows[fifth : 2 * fifth], rows[-fifth:]
    early, late = (statistics.median(row["mib"] for row in part) for part in (second, last))
    is_flat = late <= early * (1 + _GROWTH) and last[-1]["files"] <= second[-1]["files"]
    slope = statistics.linear_regression(
        [row["epochs"] for row in rows[fifth:]], [row["mib"] for row in rows[fifth:]]
    ).slope
    return {
        "minutes": minutes,
        "cycles": len(rows),
        "epochs": rows[-1]["epochs"],
        "mib_second_fifth": round(early, 1),
        "mib_last_fifth": round(late, 1),
        "mib_per_1000_epochs": round(1000 * slope, 2),
        "open_files": [second[-1]["files"], last[-1]["files"]],
        "peak_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1),
        "status": status,
        "outcome": "flat" if is_flat and not status else "grows" if not status else "failed",
    }


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
