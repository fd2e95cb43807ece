"""Shards of a million samples: listed for the first time by 1 and 2 processes, then read back: `shard_index.py [--shards 100]`.

The shards are made in a temporary folder, of tiny images, because only headers and labels are read. Each measurement is a
process of its own, on as many cores as it may use; files are in the system's cache. The last row is all of
`preceptor.data.load`, fingerprint and checks included, with the first shard again as test and validation shards. Prints a
Markdown table and writes results/shard_index.json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from step_speed import machine

RESULTS = Path(__file__).parent / "results" / "shard_index.json"
ROUNDS = 5


def make(folder: Path, shards: int, samples: int) -> None:
    """Write shards of equal content, an hour old."""
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "png")
    first = folder / "train-0000.tar"
    with tarfile.open(first, "w") as shard:
        for row in range(samples):
            for name, value in ((f"{row:09d}.png", content.getvalue()), (f"{row:09d}.cls", str(row % 1000).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(value)
                shard.addfile(member, io.BytesIO(value))
    for number in range(shards):
        path = folder / f"train-{number:04d}.tar"
        if path != first:
            shutil.copyfile(first, path)
        os.utime(path, (time.time() - 3600,) * 2)


def measure(pattern: str, cores: int, *, loads: bool = False) -> dict[str, Any]:
    """Return what finding and listing the shards takes here, or loading them as data: seconds, seconds of cores, bytes."""
    from preceptor.data import load  # noqa: PLC0415
    from preceptor.data.sources.shard_files import find_shards  # noqa: PLC0415
    from preceptor.data.sources.shard_index import index_shards  # noqa: PLC0415

    torch.set_num_threads(1)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    first = pattern.replace("*", "0000")
    began = time.perf_counter()
    used = -spent()
    if loads:
        load(f"wds:{pattern}", options={"size": 8, "test": first, "validation_shards": first})
        return {"seconds": time.perf_counter() - began, "core_seconds": used + spent()}
    indexed = index_shards(find_shards(pattern, "data.path"), "data.path", "cls")
    seconds, used = time.perf_counter() - began, used + spent()
    arrays = [array for each in indexed.indexes for array in (each.offsets, each.lengths, each.labels, each.names)]
    return {
        "seconds": seconds,
        "core_seconds": used,
        "samples": sum(len(each.labels) for each in indexed.indexes),
        "listed": indexed.num_listed,
        "bytes": sum(array.nbytes for array in arrays),
    }


def spent() -> float:
    """Return the processor time of this process and its children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def medians(measured: list[dict[str, Any]]) -> dict[str, float]:
    """Return the medians of the times."""
    return {key: statistics.median(each[key] for each in measured) for key in ("seconds", "core_seconds")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--samples", type=int, default=10_000, help="of each shard")
    parser.add_argument("--measure", nargs=2, metavar=("PATTERN", "CORES"), help=argparse.SUPPRESS)
    parser.add_argument("--loads", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], int(options.measure[1]), loads=options.loads)))
        return

    def run(cores: int, *more: str) -> dict[str, Any]:
        command = [sys.executable, __file__, "--measure", f"{folder}/train-*.tar", str(cores), *more]
        done: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        return done

    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, options.shards, options.samples)
        for cores in (1, 2):
            for index in folder.glob(".*.npz"):
                index.unlink()
            rows[f"first start, processes: {cores}"] = run(cores)
            assert rows[f"first start, processes: {cores}"]["listed"] == options.shards
        again = [run(1) for _ in range(ROUNDS)]
        assert all(each["listed"] == 0 for each in again)
        later = "every later start, processes: 1"
        rows[later] = {**again[0], **medians(again)}
        rows["load, every later start"] = medians([run(1, "--loads") for _ in range(ROUNDS)])
        on_disk = sum(index.stat().st_size for index in folder.glob(".*.npz"))
    samples = rows[later]["samples"]
    print(f"{samples:,} samples in {options.shards} shards; indexes: {on_disk / samples:.0f} bytes per sample\n")
    print("| | seconds | seconds of a core |\n|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['seconds']:.2f} | {row['core_seconds']:.2f} |")
    record = {"machine": machine(), "samples": samples, "index_bytes": on_disk, "measured": rows}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
