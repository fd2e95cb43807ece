"""Write README.md from results.json: the ranking, with mean and standard deviation where there are three seeds."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

HERE = Path(__file__).parent


def spread(values: list[float], scale: float = 100.0) -> str:
    """Return mean ± standard deviation, or the one value."""
    mean = f"{scale * statistics.fmean(values):.2f}"
    return f"{mean} ±{scale * statistics.stdev(values):.2f}" if len(values) > 1 else mean


def main() -> None:
    record = json.loads((HERE / "results.json").read_text())
    costs = HERE / "cost.json"
    cost = {row["method"]: row for row in json.loads(costs.read_text())["rows"]} if costs.exists() else {}
    groups: dict[str, list[dict[str, float]]] = {}
    for run in record["runs"]:
        groups.setdefault(run["method"], []).append(run)
    ranked = sorted(groups.items(), key=lambda item: -statistics.fmean(run["accuracy"] for run in item[1]))
    lines = [
        "| method | n | test accuracy % | train accuracy % | NLL | ECE | ms per step | peak MiB | parameters |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key, runs in ranked:
        columns = {name: [run[name] for run in runs] for name in ("accuracy", "train_accuracy", "nll", "ece")}
        name = "**alone** (cross-entropy)" if key == "alone" else f"`{key}`"
        train = spread(columns["train_accuracy"]) if any(columns["train_accuracy"]) else "no labels"
        own = cost.get(key)
        step = f"{own['milliseconds_per_step']:.0f}" if own else "–"
        peaks = [run["peak_mib"] for run in runs]
        lines.append(
            f"| {name} | {len(runs)} | {spread(columns['accuracy'])} | {train} | "
            f"{spread(columns['nll'], 1)} | {spread(columns['ece'], 1)} | {step} | {max(peaks):.0f} | {runs[0]['parameters']:,} |"
        )
    lines += [
        f"| `{key}` | 0 | not run | – | – | – | {own['milliseconds_per_step']:.0f} | – | – |"
        for key, own in cost.items()
        if key not in groups
    ]
    text = (HERE / "about.md").read_text().replace("TABLE", "\n".join(lines))
    (HERE / "README.md").write_text(text)


if __name__ == "__main__":
    main()
