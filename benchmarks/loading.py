"""What feeds a step fastest: `loading.py [--root FOLDER]`: images in memory, or files read by 0, 1 or 2 processes.

CIFAR-100's images once as a uint8 array, once as PNG files behind a torch Dataset; batches of 128, crop and flip, normalised.
Images a second, median and interquartile range over interleaved rounds; a second time with a network's forward pass beside
it, because readers and training share the cores. Writes results/loading.json and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from step_speed import machine
from torch.utils.data import Dataset

from preceptor.bench.job import Job, images
from preceptor.data import Items, Loader, LoaderSettings
from preceptor.models import create
from preceptor.types import Batch

RESULTS = Path(__file__).parent / "results" / "loading.json"
BATCHES, ROUNDS, BATCH_SIZE = 20, 7, 128


class Files(Dataset[tuple[Any, int]]):
    """PNG files, decoded when they are read."""

    def __init__(self, folder: Path, labels: list[int]) -> None:
        self.folder, self.targets = folder, labels

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        with Image.open(self.folder / f"{row}.png") as image:
            return image.convert("RGB"), self.targets[row]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", help="folder of the unpacked CIFAR-100 files; random pixels without")
    options = parser.parse_args()
    split, normalisation = images(Job(batch_size=BATCH_SIZE, root=options.root))
    network = create("resnet20", num_classes=100).to(memory_format=torch.channels_last).eval()

    def forward(batch: Batch) -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            network(batch.inputs)

    with tempfile.TemporaryDirectory() as folder:
        for row, pixels in enumerate(split.values):
            Image.fromarray(np.asarray(pixels.permute(1, 2, 0))).save(f"{folder}/{row}.png")
        files = Items(Files(Path(folder), split.labels.tolist()))
        loaders = {
            "array in memory": (split, 0),
            **{f"PNG files, workers={number}": (files, number) for number in (0, 1, 2)},
        }
        rates: dict[str, dict[str, list[float]]] = {
            what: {name: [] for name in loaders} for what in ("reading alone", "beside a forward pass")
        }
        for number in range(ROUNDS):
            for what, work in (("reading alone", None), ("beside a forward pass", forward)):
                for name, (source, workers) in loaders.items():
                    loader = Loader(
                        source,
                        LoaderSettings(
                            batch_size=BATCH_SIZE,
                            view="crop_flip",
                            normalisation=normalisation,
                            seed=number,
                            device=torch.device("cpu"),
                            workers=workers,
                        ),
                    )
                    rates[what][name].append(rate(loader.batches(1), work))
    record = {
        "machine": machine(),
        "setting": {
            "batch_size": BATCH_SIZE,
            "batches": BATCHES,
            "rounds": ROUNDS,
            "data": options.root and "cifar100",
        },
        "images_per_second": rates,
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print("| images/s, median (IQR) | " + " | ".join(rates) + " |\n|---|---|---|")
    for name in loaders:
        print(f"| {name} | " + " | ".join(spread(rates[what][name]) for what in rates) + " |")


def rate(batches: Iterator[Batch], work: Callable[[Batch], None] | None) -> float:
    """Return images a second, the first batch (which starts the readers) not counted."""
    next(batches)
    began, rows = time.perf_counter(), 0
    for _ in range(BATCHES):
        batch = next(batches)
        rows += len(batch.inputs)
        if work is not None:
            work(batch)
    return rows / (time.perf_counter() - began)


def spread(values: list[float]) -> str:
    low, median, high = np.percentile(values, [25, 50, 75])
    return f"{median:,.0f} ({high - low:,.0f})"


if __name__ == "__main__":
    main()
