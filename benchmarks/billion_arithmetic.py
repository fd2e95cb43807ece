"""A billion unlabelled images and a teacher, by arithmetic: `billion_arithmetic.py [--samples 1e9] [--gpus 8 64]`.

Listing and decoding were measured on a few images and are multiplied: results/shard_index.json, results/size_arithmetic.json.
Operations of the teachers are counted; bytes of the label store are those of its records. All else is an assumption, and a
flag. No GPU is used. Prints the Markdown tables of docs/arithmetic.md.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import torch
from size_arithmetic import short, size, table
from torch.nn.attention import SDPBackend, sdpa_kernel

from preceptor.labels import Encoding
from preceptor.models import DataSpec, make
from preceptor.training import forward_flops

RESULTS = Path(__file__).parent / "results"
TEACHERS = ["torchvision:resnet34", "timm:vit_base_patch16_224", "timm:vit_large_patch16_224"]
SIDE, CLASSES = 224, (1000, 21_841)
OTHER_BYTES = 4 + 8 + 8 + 8  # of a sample in memory: shard, offset, length, label


def flops(name: str) -> float:
    """Return the operations of a network's forward pass of an image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = make(name, DataSpec(1000, (3, SIDE, SIDE), (0.5,) * 3, (0.25,) * 3)).eval()
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad():  # fused attention is not counted on the CPU
        return forward_flops(network, torch.zeros(1, 3, SIDE, SIDE))


def listing(options: argparse.Namespace) -> str:
    """Return what knowing the samples costs."""
    record = json.loads((RESULTS / "shard_index.json").read_text())
    samples = record["samples"]
    each = {name: row["core_seconds"] / samples for name, row in record["measured"].items()}
    first, later = each["first start, processes: 1"], each["every later start, processes: 1"]
    loads = each["load, every later start"]
    index = record["index_bytes"] / samples + options.name - 9  # the measured names have 9 bytes
    lines = [
        ["listed once, core hours", f"{options.samples * first / 3600:.1f}"],
        ["the same on all cores of a machine, minutes", f"{options.samples * first / options.cores / 60:.1f}"],
        ["indexes on disk", size(options.samples * index)],
        ["indexes read back by one core, minutes", f"{options.samples * later / 60:.1f}"],
        ["all of a later start, on one core, minutes", f"{options.samples * loads / 60:.0f}"],
        ["memory of the listing in each process", size(options.samples * (OTHER_BYTES + options.name))],
    ]
    return table(["", f"{options.samples:,.0f} samples"], lines)


def labels(options: argparse.Namespace) -> str:
    """Return the bytes of a label store."""
    lines = []
    for dtype, top in (("float16", None), ("int8", None), ("float16", options.top), ("int8", options.top)):
        line = [dtype if top is None else f"{dtype}, `top={top}`"]
        for classes in CLASSES:
            each = Encoding(classes, dtype, top).bytes_per_sample  # type: ignore[arg-type]
            line += [size(each), size(each * options.samples)]
        lines.append(line)
    return table(["", *(f"{classes:,} classes, {of}" for classes in CLASSES for of in ("a sample", "in all"))], lines)


def hours(options: argparse.Namespace) -> str:
    """Return how long one view takes: the teacher, and beside it decoding and reading; the longest counts."""
    lines = []
    for name in options.teacher or TEACHERS:
        each = flops(name)
        seconds = [options.samples * each / (gpus * options.peak * options.utilisation) for gpus in options.gpus]
        lines.append([f"{short(name)}, {each / 1e9:.1f} GFLOP", *(f"{spent / 3600:.1f}" for spent in seconds)])
    machines = [max(1, gpus / options.machine) for gpus in options.gpus]
    for height, cost in json.loads((RESULTS / "size_arithmetic.json").read_text())["decoding"].items():
        name = f"{int(height) * 4 // 3} x {height}"
        decoding = [options.samples * cost["ms"] / 1e3 / (options.cores * count) for count in machines]
        reading = [options.samples * cost["kilobytes"] * 1e3 / (options.read * count) for count in machines]
        stored = size(options.samples * cost["kilobytes"] * 1e3)
        lines.append([f"decoding {name}", *(f"{spent / 3600:.1f}" for spent in decoding)])
        lines.append([f"reading {name}, {stored}", *(f"{spent / 3600:.1f}" for spent in reading)])
    return table(["", *(f"G = {gpus}" for gpus in options.gpus)], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=float, default=1e9)
    parser.add_argument("--teacher", action="append", help="networks by name")
    parser.add_argument("--gpus", nargs="+", type=int, default=[8, 64])
    parser.add_argument("--top", type=int, default=16, help="entries kept of a row of stored logits")
    parser.add_argument("--peak", type=float, default=989e12, help="bf16 operations a second of a GPU (H200, dense)")
    parser.add_argument("--utilisation", type=float, default=0.3, help="share of the peak that is reached")
    parser.add_argument("--machine", type=int, default=8, help="GPUs of a machine")
    parser.add_argument("--cores", type=int, default=192, help="cores of a machine, all listing or decoding")
    parser.add_argument("--read", type=float, default=5e9, help="bytes a second that a machine reads")
    parser.add_argument("--name", type=int, default=16, help="bytes of a sample's name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Listing:\n\n{listing(options)}\nBytes of a view in the label store:\n\n{labels(options)}")
    print(f"Hours of one view:\n\n{hours(options)}")


if __name__ == "__main__":
    main()
