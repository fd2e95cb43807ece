"""Damaged files, kills, full disks, a soak: `reliability.py [mutations kills full-disk soak] [--minutes N] [--only TEXT]`.

It goes through every kind of file that the library reads, with every kind of damage (tests/campaign/), and kills every kind of
command. Each case runs in a forked child with limits on time and memory. Figures are written into results/reliability/ as they
come; the same command continues where it stopped, and begins anew with --anew. `--failed` tries what missed the goals once more
and writes nothing. Linux only. A disk is filled on a tmpfs of a user namespace (`unshare -rm`); where that is not permitted, by
the system's limit on the size of a file, and the figures say so.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for offline in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ[offline] = "1"

import torch  # noqa: E402

import preceptor  # noqa: E402
from campaign.full_disk import FullDisk, mounted  # noqa: E402
from campaign.kills import SCENARIOS, Kills  # noqa: E402
from campaign.mutations import Mutations, pairs  # noqa: E402
from campaign.record import Record, failures, page, product  # noqa: E402
from campaign.soak import soak  # noqa: E402
from campaign.subjects import FAST, SUBJECTS  # noqa: E402
from campaign.world import World  # noqa: E402

SOURCES = Path(preceptor.__file__).parent
PARTS = ("mutations", "kills", "full-disk", "soak")
OUT = ROOT / "results" / "reliability" / "campaign.json"
APART = "PRECEPTOR_RELIABILITY_APART"  # set within the user namespace
LIBRARIES = (
    "sklearn.datasets",
    "scipy.stats",
    "torch._dynamo",
    "torch.onnx",
    "onnxruntime",
    "onnxscript",
    "pyarrow.parquet",
)
OTHERS = ("pandas", "datasets", "transformers", "tensorboard.compat")
GRID_DISK = {"grid", "two ranks"}  # their processes are several: a disk is filled by one
SAID = 20  # cases between two lines


def imported() -> None:
    """Import the library and what it uses, once for all children."""
    torch.set_num_threads(1)
    for found in pkgutil.walk_packages(preceptor.__path__, "preceptor."):
        if not found.name.endswith("__main__"):
            with suppress(Exception):  # an extra that is not there
                importlib.import_module(found.name)
    for name in (*LIBRARIES, *OTHERS):
        with suppress(Exception):
            importlib.import_module(name)


def mutations(campaign: Mutations, options: argparse.Namespace) -> Iterator[tuple[int, Callable[[], dict[str, Any]]]]:
    """Yield the number of each damage, and what carries it out."""
    chosen = pairs(options.seed, [each for each in SUBJECTS if not options.fast or each.name in FAST])
    for number in range(options.mutations):
        subject, kind = chosen[number % len(chosen)]
        if options.only is None or options.only in f"{subject.name} {kind}":
            yield number, lambda n=number, s=subject, k=kind: campaign.row(n, s, k)


def kills(campaign: Kills, options: argparse.Namespace) -> Iterator[tuple[int, Callable[[], dict[str, Any]]]]:
    """The same of the kills."""
    scenarios = [each for each in SCENARIOS if not options.fast or each.name in FAST]
    for number in range(options.kills):
        scenario = scenarios[number % len(scenarios)]
        if options.only is None or options.only in scenario.name:
            yield number, lambda n=number, s=scenario: campaign.row(n, s)


def full_disks(campaign: FullDisk, options: argparse.Namespace) -> Iterator[tuple[int, Callable[[], dict[str, Any]]]]:
    """The same of the full disks: of each command one at every change of a file, or every few where --full-disks limits them."""
    for place, scenario in enumerate(SCENARIOS):
        is_wanted = scenario.name in FAST if options.fast else scenario.name not in GRID_DISK
        if is_wanted and (options.only is None or options.only in scenario.name):
            changes = campaign.changes(scenario)
            step = max(1, -(-changes // options.full_disks))
            for at in range(1, changes + 1, step):
                yield 1000 * place + at, lambda n=1000 * place + at, s=scenario, k=at: campaign.row(n, s, k)


def carry_out(
    part: str,
    cases: Iterator[tuple[int, Callable[[], dict[str, Any]]]],
    record: Record,
    deadline: float,
    only: set[int] | None,
) -> bool:
    """Carry out what is not done yet; return whether all of it is done."""
    name, counted = part.replace("-", "_"), Counter[str]()
    done = set() if only is not None else record.numbers(name)
    for number, case in cases:
        if number in done or (only is not None and number not in only):
            continue
        if time.monotonic() > deadline:
            return False
        row = case()
        counted[row["outcome"]] += 1
        if only is None:
            record.rows(name).append(row)
            record.write()
        if only is not None or "command" in row:
            print(f"{part} {number}: {row}", flush=True)
        elif sum(counted.values()) % SAID == 0:
            print(f"{part} {number}: {dict(counted)}", flush=True)
    print(f"{part}: {dict(counted)}", flush=True)
    return True


def apart(words: Sequence[str]) -> None:
    """Go on in a user namespace with mounts of its own, where that is permitted."""
    unshare = shutil.which("unshare")
    if APART in os.environ or unshare is None:
        return
    if subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode == 0:
        os.environ[APART] = "1"
        os.execv(unshare, [unshare, "-rm", sys.executable, __file__, *words])


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--mutations", type=int, default=2400, help="damaged files")
    parser.add_argument("--kills", type=int, default=208)
    parser.add_argument("--full-disks", type=int, default=10**6, help="of each command at most")
    parser.add_argument("--soak-minutes", type=float, default=30)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many")
    parser.add_argument("--only", metavar="TEXT", help="files, damages or commands whose name holds it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--anew", action="store_true", help="forget the figures there are")
    parser.add_argument("--failed", action="store_true", help="what missed the goals, once more; nothing is written")
    parser.add_argument("--fast", action="store_true", help="a few kinds of files and commands only")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--work", type=Path, help="folder for the world and its copies")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    options = parsed(words)
    parts = options.parts or list(PARTS)
    if "full-disk" in parts:
        apart(words)
    sources = product(SOURCES)
    work = options.work or Path(tempfile.gettempdir()) / f"preceptor-reliability-{sources}"
    disk = work / "tmpfs"
    is_small = APART in os.environ and "full-disk" in parts and mounted(disk)
    about = {
        "product": sources,
        "seed": options.seed,
        "versions": {"python": platform.python_version(), "torch": version("torch"), "cores": os.cpu_count()},
    }
    record = Record(options.out, about, is_new=options.anew)
    if not options.failed and record.values["about"]["product"] != sources:
        print(f"{options.out.name} is of other sources ({record.values['about']['product']}); --anew begins anew")
        return 2
    deadline = time.monotonic() + 60 * options.minutes
    world = World(work / "world")
    imported()
    only = {
        part: {r["n"] for r in record.rows(part.replace("-", "_")) if r in failures(record.values)}
        for part in PARTS[:3]
    }
    is_done = True
    for part in parts:
        if part == "soak":
            if not options.failed and record.values["soak"] is None and time.monotonic() < deadline:
                record.values["soak"] = soak(
                    world, work / "soak", options.soak_minutes, lambda figures: print(figures, flush=True)
                )
                record.write()
            continue
        cases = {
            "mutations": lambda: mutations(Mutations(world, work / "copies", options.seed), options),
            "kills": lambda: kills(Kills(world, work / "copies", options.seed), options),
            "full-disk": lambda: full_disks(
                FullDisk(world, disk if is_small else work / "disk", is_small=is_small, seed=options.seed), options
            ),
        }[part]()
        is_done &= carry_out(part, cases, record, deadline, only[part] if options.failed else None)
        if part == "full-disk":
            record.values["about"]["full_disk_by"] = "tmpfs" if is_small else "RLIMIT_FSIZE"
    if not options.failed:
        record.write()
        (options.out.parent / "README.md").write_text(page(record.values), encoding="utf-8")
    shutil.rmtree(work / "copies", ignore_errors=True)
    print("done" if is_done else "the time is up; the same command continues", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
