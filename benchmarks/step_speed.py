"""Images per second against the usual research loop: `step_speed.py [--root FOLDER] [--only pairs batch classes views]`.

Runs what `preceptor bench` runs, on four pairs of networks, and shows how cost grows with batch size, classes, width and the
number of stored views. Every variant is a process of its own; rounds are interleaved; medians and interquartile ranges
over rounds, ratios round by round. Results are written to results/step_speed-DEVICE.json after each comparison; those that
are there already are kept. `--table` prints the Markdown tables of a result file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

from preceptor.bench import Job, compare

HERE = Path(__file__).parent / "results"
PAIRS = [
    ("resnet32x4", "resnet8x4"),
    ("wrn_40_2", "wrn_16_2"),
    ("resnet56", "resnet20"),
    ("vgg13", "MobileNetV2"),
]
GOALS = {  # live, stored: what the project aims at, on CPUs with AMX
    "resnet32x4": (6.0, 10.0),
    "wrn_40_2": (4.5, 6.0),
    "resnet56": (4.5, 5.5),
    "vgg13": (3.0, 3.5),
}
SWEPT = ("resnet56", "resnet20")


def jobs(root: str | None, rounds: int) -> dict[str, dict[str, Job]]:
    """Return the comparisons by group and name."""
    swept = {"teacher": SWEPT[0], "student": SWEPT[1], "rounds": rounds}
    return {
        "pairs": {f"{t} -> {s}": Job(t, s, root=root, rounds=rounds) for t, s in PAIRS},
        "batch": {f"batch {rows}": Job(**swept, batch_size=rows) for rows in (16, 256)},
        "classes": {f"{number} classes": Job(**swept, num_classes=number) for number in (10, 1000)},
        "width": {f"{t} -> {s}": Job(t, s, rounds=rounds) for t, s in (("wrn_40_1", "wrn_16_1"),)},
        "views": {"4 views": Job(**swept, views=4, variants=("baseline", "stored"))},
    }


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def table(record: dict[str, Any]) -> str:
    """Return a result file as Markdown."""
    lines = []
    for group, comparisons in record["groups"].items():
        lines += [
            f"\n**{group}**\n",
            "| comparison | images/s: baseline | auto | live | stored | ratio: auto | live | stored | of ceiling: baseline "
            "| live | stored | peak MiB: baseline | live | stored | first step, live |",
            "|---" * 15 + "|",
        ]
        for name, result in comparisons.items():
            got = result["measured"]

            def cell(variant: str, key: str, form: str, got: dict[str, Any] = got) -> str:
                return form.format(got[variant][key]) if variant in got and got[variant][key] is not None else ""

            cells = [f"{name} ({100 * got['baseline']['iqr'] / got['baseline']['images_per_second']:.0f} % IQR)"]
            cells += [
                cell(variant, "images_per_second", "{:,.0f}") for variant in ("baseline", "auto", "live", "stored")
            ]
            cells += [cell(variant, "ratio", "{:.2f}x") for variant in ("auto", "live", "stored")]
            cells += [cell(variant, "ceiling_share", "{:.0%}") for variant in ("baseline", "live", "stored")]
            cells += [cell(variant, "peak_mib", "{:,.0f}") for variant in ("baseline", "live", "stored")]
            cells += [cell("live", "first_seconds", "{:.0f} s")]
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["\n**where a step goes, ms (live)**\n", "| comparison | " + " | ".join(PHASES) + " |", "|---" * 7 + "|"]
    for name, result in record["groups"].get("pairs", {}).items():
        phases = result["measured"]["live"]["phases"]
        lines.append(f"| {name} | " + " | ".join(f"{phases[phase]:.1f}" for phase in PHASES) + " |")
    return "\n".join(lines)


PHASES = ("data", "teacher", "student forward", "student backward", "optimiser", "evaluation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", help="folder of the unpacked CIFAR-100 files; random pixels without")
    parser.add_argument("--only", nargs="*", help="these groups only")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--table", type=Path, help="print the tables of this result file, and measure nothing")
    options = parser.parse_args()
    if options.table is not None:
        print(table(json.loads(options.table.read_text())))
        return
    path = HERE / f"step_speed-{'cuda' if torch.cuda.is_available() else 'cpu'}.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    record = {"machine": machine(), "goals": GOALS, "groups": record.get("groups", {})}
    for group, comparisons in jobs(options.root, options.rounds).items():
        for name, job in comparisons.items():
            done = record["groups"].setdefault(group, {})
            if name in done or (options.only and group not in options.only):
                continue
            done[name] = compare(job, lambda line, name=name: print(f"{name}: {line}", flush=True)).as_dict()
            done[name]["job"]["root"] = "cifar100" if job.root else None
            path.write_text(json.dumps(record, indent=1) + "\n")
    print(table(record))


if __name__ == "__main__":
    main()
