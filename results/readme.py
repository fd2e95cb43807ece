"""Write the table of results in the project's README from records: `python results/readme.py`; with --check, only compare."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from preceptor.experiments.statistics import spread

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BLOCK = re.compile(r"(<!-- results: .*? -->\n).*?(<!-- /results -->)", re.DOTALL)
RECORD = "cifar100-methods"
SHOWN = ("dist", "fitnet", "dkd", "kd", "at", "alone", "crd")  # of thirty: old and new, good and bad on this schedule
_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


def main(words: Sequence[str]) -> int:
    """Write the table, or return 1 if the README has another one."""
    text = README.read_text(encoding="utf-8")
    written = BLOCK.sub(lambda found: f"{found[1]}{block()}{found[2]}", text)
    if "--check" in words:
        if written != text:
            print(f"{README.name}: its results are not those of the records; run python results/readme.py")
        return int(written != text)
    README.write_text(written, encoding="utf-8")
    return 0


def block() -> str:
    """Return the sentence and the table."""
    record = json.loads((HERE / RECORD / "results.json").read_text(encoding="utf-8"))
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run in record["runs"]:
        groups.setdefault(run["method"], []).append(run)
    settings = dict(setting.split("=", 1) for setting in record["settings"])
    teacher = dict(setting.split("=", 1) for setting in record["teacher"]["settings"])
    (seeds,) = {len(groups[method]) for method in SHOWN}
    lines = [
        f"CIFAR-100, teacher {teacher['model']} ({100 * record['teacher']['test']['accuracy']:.1f} %), student "
        f"{settings['model']}, **{_NUMBERS[int(settings['epochs'])]} epochs**, the same schedule for all, "
        f"{_NUMBERS[seeds]} seeds, mean ± standard deviation, last epoch. The",
        "table ranks how fast a method helps, not its final accuracy; all methods, commands and caveats are in",
        f"[results/{RECORD}](results/{RECORD}/README.md).",
        "",
        "| student trained by | test accuracy % | NLL |",
        "|---|---|---|",
    ]
    for method in sorted(SHOWN, key=lambda each: -spread([run["accuracy"] for run in groups[each]]).mean):
        accuracy = spread([100 * run["accuracy"] for run in groups[method]])
        nll = spread([run["nll"] for run in groups[method]])
        name = "cross-entropy alone" if method == "alone" else f"`{method}`"
        lines.append(f"| {name} | {accuracy.mean:.1f} ± {accuracy.std:.1f} | {nll.mean:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
