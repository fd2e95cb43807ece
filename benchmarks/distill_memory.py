"""Peak memory of one loss, forward and backward, by batch size: `distill_memory.py [--keys rkd crd] [--batches 64 256]`.

Each case runs in a process of its own, three times: the peak of its resident memory (ru_maxrss) less what the same process
held before the loss was computed, with the same inputs, connectors and banks. Gradients of the inputs count; so does what the
system's allocator keeps back. A few MiB are code that is loaded on first use: see the smallest figures. Prints a Markdown
table and writes results/distill_memory.json.
"""

from __future__ import annotations

import argparse
import contextlib
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

    from preceptor.objectives.base import BuildContext  # noqa: PLC0415
    from preceptor.objectives.distill import METHODS  # noqa: PLC0415
    from preceptor.types import Batch, Outputs, Progress, Step, View  # noqa: PLC0415

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
    objective.build(BuildContext(SAMPLES, CLASSES, student, teacher, labels=labels, batch_size=batch))
    index = torch.arange(batch)
    step = Step(
        Batch(torch.zeros(batch, 1), labels[:batch], index, View("none", 0, 1)),
        student,
        teacher,
        torch.nn.Identity(),
        Progress(1, 1, 0.0),
    )
    torch.randn(64, 64, requires_grad=True).matmul(torch.randn(64, 64)).sum().backward()  # libraries are loaded
    _forget_peak()
    before = _peak()
    objective.loss(step).backward()  # type: ignore[no-untyped-call]
    return _peak() - before


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _forget_peak() -> None:
    """Let the peak restart from the memory in use now, where the system can: memory freed since would hide the loss."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", nargs="+", default=KEYS)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(measure(options.case[0], int(options.case[1])))
        return
    rows = []
    print("| method | batch | extra memory, MiB | largest - smallest |\n|---|---:|---:|---:|", flush=True)
    for key in options.keys:
        for batch in options.batches:
            command = [sys.executable, __file__, "--case", key, str(batch)]
            values = [float(subprocess.check_output(command, text=True)) for _ in range(ROUNDS)]
            middle, spread = round(statistics.median(values), 1), round(max(values) - min(values), 1)
            rows.append({"method": key, "batch": batch, "mib": middle, "spread": spread})
            print(f"| {key} | {batch} | {middle:,.1f} | {spread:,.1f} |", flush=True)
    import torch  # noqa: PLC0415

    record = {
        "what": f"peak resident memory of loss and backward less that before, median of {ROUNDS} processes",
        "setting": {
            "dim": DIM,
            "classes": CLASSES,
            "samples": SAMPLES,
            "maps": "64x16x16, 128x8x8, 256x4x4",
            "hyperparameters": {key: _hyperparameters(key) for key in options.keys},
        },
        "machine": {"processor": processor(), "threads": torch.get_num_threads()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n")


def _hyperparameters(key: str) -> dict[str, object]:
    """Return the defaults that a method was measured with (CRD's number of negatives among them)."""
    from preceptor.objectives.distill import METHODS  # noqa: PLC0415
    from preceptor.signature import default_hyperparameters  # noqa: PLC0415

    return default_hyperparameters(METHODS[key].objective)


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
