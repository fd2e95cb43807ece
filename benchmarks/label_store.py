"""The label store at ImageNet's size: `label_store.py [--rows 1281167]`: writing, reading at random, size, memory.

Synthetic logits of 1,000 classes (a pool of random rows, rotated), so that what is measured is the store and no teacher. Each
setting runs in a process of its own. Reading is a random batch of 128 rows at a time, files warm, decoded to float32 logits,
the median of 2,000 batches. Memory is the peak resident memory less that of the same process after 65,536 rows: mapped pages
that were read count, and the system takes them back when it needs them. Writes results/label_store.json, prints a table.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from step_speed import machine
from torch import Tensor

from preceptor.labels import Encoding, LabelSource, LabelStore, Manifest, write_labels

RESULTS = Path(__file__).parent / "results" / "label_store.json"
CLASSES, BATCH, READS = 1000, 128, 2000
SETTINGS = {
    "float16, top 16": ("float16", 16),
    "int8, top 16": ("int8", 16),
    "int8, all": ("int8", None),
    "float16, all": ("float16", None),
}


def measure(rows: int, name: str) -> dict[str, float]:
    """Return the figures of one setting; run in a fresh process."""
    pool = torch.randn(256, CLASSES, generator=torch.Generator().manual_seed(0))
    peak_before = 0.0

    def said(view: int, index: Tensor) -> Tensor:
        nonlocal peak_before
        if int(index[0]) == 65536:
            peak_before = peak()
        return torch.roll(pool, int(index[0]) // 256 % CLASSES, 1)[: len(index)]

    dtype, top = SETTINGS[name]
    encoding = Encoding(CLASSES, dtype, top)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        source = LabelSource(("synthetic",), "synthetic", rows, "crop_flip", 0, encoding, "fp32")
        began = time.perf_counter()
        write_labels(folder, Manifest(source, {}, 1, 65536), lambda requests: (said(*request) for request in requests))
        writing = time.perf_counter() - began
        size = sum(path.stat().st_size for path in Path(folder).glob("*.npy"))
        store, random = LabelStore(folder), torch.Generator().manual_seed(1)
        for start in range(0, rows, 65536):
            store.logits(1, torch.tensor([start]))  # each file is checked once
        seconds = []
        for _ in range(READS):
            index = torch.randint(0, rows, (BATCH,), generator=random)
            began = time.perf_counter()
            store.logits(1, index)
            seconds.append(time.perf_counter() - began)
    return {
        "rows": rows,
        "mib": size / 2**20,
        "bytes_per_row": encoding.bytes_per_sample,
        "written_rows_per_second": rows / writing,
        "read_us_per_batch": 1e6 * statistics.median(seconds),
        "peak_growth_mib": peak() - peak_before,
    }


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_281_167)
    parser.add_argument("--setting", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.setting is not None:
        print(json.dumps(measure(options.rows, options.setting)))
        return
    record: dict[str, object] = {"machine": machine(), "batch": BATCH, "classes": CLASSES}
    print(
        "| setting | bytes a row | MiB | written, rows/s | batch of 128, µs | memory growth, MiB |\n|---|---|---|---|---|---|"
    )
    for name in SETTINGS:
        words = [sys.executable, __file__, "--rows", str(options.rows), "--setting", name]
        got = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        record[name] = got
        print(
            f"| {name} | {got['bytes_per_row']} | {got['mib']:,.0f} | {got['written_rows_per_second']:,.0f} "
            f"| {got['read_us_per_batch']:,.0f} | {got['peak_growth_mib']:,.0f} |",
            flush=True,
        )
        RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
