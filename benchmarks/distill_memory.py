"""Peak memory of one loss, forward and backward, by batch size: `distill_memory.py [--keys rkd crd] [--batches 64 256]`.

Each case runs in a process of its own, three times: what it holds at its peak less what the same process held before the
loss was computed, inputs included. Prints a table and writes results/distill_memory.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "distill_memory.json"
KEYS = ["kd", "dkd", "dist", "rkd", "pkt", "cc", "sp", "nst", "crd"]
BATCHES = [64, 256, 1024]
DIM, CLASSES, SAMPLES, ROUNDS = 256, 100, 50_000, 3


def measure(key: str, batch: int) -> float:
    """Return MiB of one case; run in a fresh process."""
    import torch  # noqa: PLC0415

    from preceptor.objectives.base import Setting  # noqa: PLC0415
    from preceptor.objectives.distill import METHODS  # noqa: PLC0415
    from preceptor.types import Batch, Clock, Outputs, Step, View  # noqa: PLC0415

    def outputs(rows: int, dim: int) -> Outputs:
        maps = {f"block{k}": torch.randn(rows, dim // 2 ** (3 - k), 32 >> k, 32 >> k) for k in (1, 2, 3)}
        features = {**maps, "pooled": torch.randn(rows, dim)}
        for feature in features.values():
            feature.requires_grad_()
        return Outputs(torch.randn(rows, CLASSES, requires_grad=True), features)

    objective = METHODS[key].objective()
    student, teacher = outputs(batch, DIM), outputs(batch, DIM)
    offer = {name: tuple(feature.shape[1:]) for name, feature in student.features.items()}
    objective.taps(offer, offer)
    labels = torch.arange(SAMPLES) % CLASSES
    objective.build(Setting(SAMPLES, CLASSES, student, teacher, labels=labels, batch_size=batch))
    index = torch.arange(batch)
    step = Step(
        Batch(torch.zeros(batch, 1), labels[:batch], index, View("none", 0, 1)),
        student,
        teacher,
        torch.nn.Identity(),
        Clock(1, 1, 0.0),
    )
    torch.randn(512, 512, requires_grad=True).matmul(torch.randn(512, 512)).sum().backward()  # libraries are loaded
    before = _peak()
    objective.loss(step).backward()  # type: ignore[no-untyped-call]
    return _peak() - before


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", nargs="+", default=KEYS)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(measure(options.case[0], int(options.case[1])))
        return
    rows = []
    for key in options.keys:
        for batch in options.batches:
            command = [sys.executable, __file__, "--case", key, str(batch)]
            values = [float(subprocess.check_output(command, text=True)) for _ in range(ROUNDS)]
            rows.append(
                {"method": key, "batch": batch, "mib": statistics.median(values), "spread": max(values) - min(values)}
            )
            print(f"{key:10} {batch:5} {rows[-1]['mib']:9.1f} MiB  (spread {rows[-1]['spread']:.1f})", flush=True)
    import torch  # noqa: PLC0415

    record = {
        "what": "peak resident memory of loss and backward less that before, median of 3 processes",
        "setting": {"dim": DIM, "classes": CLASSES, "samples": SAMPLES, "maps": "64x16x16, 128x8x8, 256x4x4"},
        "machine": {"processor": _processor(), "threads": torch.get_num_threads()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "rows": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
