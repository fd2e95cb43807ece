"""Rank every method against plain training on CIFAR-100, on one short schedule: `run.py --data FOLDER --work FOLDER`.

Each student is a process of its own (`preceptor distill ...`), so that time and peak memory are its own. A run that is
there already is kept: stop and start at will. `results.json` beside this file is rewritten after every run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from preceptor.config.procedures import PROCEDURES
from preceptor.objectives.distill import METHODS

HERE = Path(__file__).parent
TRAINING = ["batch_size=64", "schedule=one_cycle", "precision=bf16", "data=cifar100"]
TEACHER = ["model=wrn_16_2", "objective=cross_entropy", "epochs=12", "optim.lr=0.1", "seed=0"]
STUDENT = ["model=resnet8", "epochs=2", "optim.lr=0.1"]
THREE_SEEDS = ("alone", "kd", "dkd", "dist", "crd", "at", "fitnet")
# What two epochs need: weights that would still be warming up are at their peak, stages take one epoch.
CHANGES = {
    "dkd": ["method.weight=1"],
    "reviewkd": ["method.weight=5"],
    **{key: ["method.stage_epochs=1"] for key in ("ab", "ft", "sskd", "hsakd")},
    "takd": ["teacher.assistants=[resnet14]"],
    "semckd": ["optim.lr=0.05"],  # at 0.1 its loss overflows in the first epoch
}
LEFT_OUT = {
    "fsp": "needs equal channels in both networks",
    "kdsvd": "needs equal channels in both networks",
    "ensemble": "needs several teachers",
    "rco": "needs a teacher that kept its epochs",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the unpacked CIFAR-100 files")
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    parser.add_argument("--only", nargs="*", help="these methods only")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    common = [*TRAINING, f"data.root={options.data}"]
    teacher = options.work / "teacher"
    if not (teacher / "result.json").exists():
        preceptor(["teach", *common, *TEACHER, "batch_size=128", f"out={teacher}", "resume=true"])
    keys = [key for key in ("alone", *METHODS, *PROCEDURES) if key not in LEFT_OUT]
    jobs = [(seed, key) for seed in options.seeds for key in keys if seed == 0 or key in THREE_SEEDS]
    jobs.sort(key=lambda job: job[1] not in THREE_SEEDS)  # the ones with three seeds first
    for seed, key in jobs:
        out = options.work / f"{key}-{seed}"
        if (out / "result.json").exists() or (options.only and key not in options.only):
            continue
        verb = (
            ["teach", "objective=cross_entropy"]
            if key == "alone"
            else ["distill", f"teacher={teacher}", f"method={key}"]
        )
        peak = preceptor([*verb, *common, *STUDENT, *CHANGES.get(key, []), f"seed={seed}", f"out={out}", "resume=true"])
        if peak is not None:
            (out / "peak.json").write_text(json.dumps({"peak_mib": peak}))
        collect(options.work, teacher, keys)
    collect(options.work, teacher, keys)


def preceptor(words: list[str]) -> float | None:
    """Run the command line; return its peak memory in MiB, or None when it failed."""
    process = subprocess.Popen([sys.executable, "-m", "preceptor", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return usage.ru_maxrss / 1024 if status == 0 else None


def collect(work: Path, teacher: Path, keys: list[str]) -> None:
    rows = []
    for key in keys:
        for folder in sorted(work.glob(f"{key}-[0-9]")):
            if (folder / "result.json").exists():
                result = json.loads((folder / "result.json").read_text())
                rows.append(
                    {
                        "method": key,
                        "seed": result["seed"],
                        **{name: result["test"][name] for name in ("accuracy", "nll", "ece")},
                        "train_accuracy": result["train"]["accuracy"],
                        "seconds_per_epoch": result["seconds"] / len(result["history"]),
                        "parameters": result["parameters"],
                        "peak_mib": json.loads((folder / "peak.json").read_text())["peak_mib"],
                        "changes": CHANGES.get(key, []),
                    }
                )
    about = json.loads((teacher / "result.json").read_text())
    record = {
        "teacher": {"test": about["test"], "train_accuracy": about["train"]["accuracy"], "settings": TEACHER},
        "settings": [*TRAINING, *STUDENT],
        "versions": about["versions"],
        "left_out": LEFT_OUT,
        "runs": rows,
    }
    (HERE / "results.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
