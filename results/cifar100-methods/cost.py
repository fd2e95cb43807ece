"""Time of a step of every method, one after another on an idle machine, one thread: `cost.py --data FOLDER --work FOLDER`.

The mean of thirty steps after thirty to warm up, data and both networks included. Writes cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from run import CHANGES, LEFT_OUT, TRAINING, preceptor

from preceptor.config.procedures import PROCEDURES
from preceptor.objectives.distill import METHODS

STEPS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rows = []
    common = [*TRAINING, f"data.root={options.data}", "model=resnet8", "optim.lr=0.1", "epochs=2", "seed=0"]
    common += [f"data.limit={64 * STEPS}", "data.test_limit=64", "data.validation=0"]
    for key in ("alone", *METHODS, *PROCEDURES):
        if key in LEFT_OUT or key == "takd":
            continue
        teacher = options.work / "teacher"
        verb = (
            ["teach", "objective=cross_entropy"]
            if key == "alone"
            else ["distill", f"teacher={teacher}", f"method={key}"]
        )
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            preceptor([*verb, *common, *CHANGES.get(key, []), f"out={out}"])
            history = json.loads((out / "result.json").read_text())["history"]
        rate = history[-1]["images_per_second"]  # of the second epoch: the first one warms up
        rows.append({"method": key, "milliseconds_per_step": 64_000 / rate})
        print(rows[-1], flush=True)
    (Path(__file__).parent / "cost.json").write_text(json.dumps({"steps": STEPS, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
