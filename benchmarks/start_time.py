"""Seconds until a command answers, or a run of almost nothing ends: `start_time.py [--src before=PATH after=src]`.

Each command runs in a process of its own, the sources in turn; medians of wall-clock time and, in brackets, of the
processor's, which other work on the machine changes less. The first round, which fills the system's cache, is not
counted. Prints a Markdown table and writes results/start_time.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from distill_memory import processor

RESULTS = Path(__file__).parent / "results" / "start_time.json"
HERE = Path(__file__).parents[1] / "src"
COMMANDS = [
    "--version",
    "distill --help",
    "config distill",
    "list methods",
    "list methods crd",
    "list models",
    "list data",
    "distill modl=resnet8",
    "teach data=gaussian data.samples=500 model=mlp epochs=1 out=run overwrite=true",
]


def seconds(words: str, source: Path, env: dict[str, str], folder: str) -> tuple[float, float] | None:
    """Return the wall-clock and the processor's time of one command; None where it does not answer."""
    environment = {**os.environ, "PYTHONPATH": str(source), **env}
    start, used = time.perf_counter(), _used()
    command = [sys.executable, "-m", "preceptor", *words.split()]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=False)
    taken = (time.perf_counter() - start, _used() - used)
    return taken if done.stdout or done.returncode == 2 else None


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--src", nargs="+", default=[f"now={HERE}"], metavar="NAME=FOLDER")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    sources = {name: Path(folder).resolve() for name, _, folder in (each.partition("=") for each in options.src)}
    cases = {words: (words, {}) for words in COMMANDS}
    completion = {"_PRECEPTOR_COMPLETE": "complete_bash", "COMP_WORDS": "preceptor distill optim.", "COMP_CWORD": "2"}
    cases["tab completion"] = ("", completion)
    folder = tempfile.mkdtemp()
    print(f"| command | {' | '.join(sources)} |\n|---|{'---:|' * len(sources)}", flush=True)
    rows = []
    for shown, (words, env) in cases.items():
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
        for number in range(options.rounds + 1):
            for name, source in sources.items():
                spent = seconds(words, source, env, folder)
                if number and spent is not None:
                    taken[name].append(spent)
        row = {
            name: {"wall": _median(wall), "processor": _median(used)}
            for name, (wall, used) in ((name, zip(*pairs, strict=True)) for name, pairs in taken.items() if pairs)
        }
        rows.append({"command": shown, "seconds": row})
        cells = [f"{row[name]['wall']:.2f} ({row[name]['processor']:.2f})" if name in row else "–" for name in sources]
        print(f"| {shown} | {' | '.join(cells)} |", flush=True)
    record = {
        "what": f"seconds of a command in a process of its own, median of {options.rounds} rounds; processor: user + system",
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), "torch": version("torch")},
        "rows": rows,
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
