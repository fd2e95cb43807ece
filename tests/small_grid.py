"""A grid's folder for tests of what reads it: records by the formula below, one run per cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from preceptor.artifacts.run_folder import RunFolder
from records import made_config, made_record, write_json

__all__ = ["GAIN", "METHODS", "OBJECTIVES", "write_cell", "write_grid"]

OBJECTIVES = ("cross_entropy", "brier")
METHODS = ("kd", "dkd")
GAIN = {"kd": (0.02, 0.03, 0.04), "dkd": (0.01, -0.02, 0.02)}  # of brier over cross_entropy, by method and seed
_BARS = [{"count": 4.0, "confidence": 0.4, "accuracy": 0.5}, {"count": 6.0, "confidence": 0.9, "accuracy": 0.5}]


def write_grid(folder: Path, seeds: Sequence[int] = (0, 1, 2), **changes: Any) -> dict[str, Any]:
    """Write grid.json and a finished run for each cell: a teacher per objective and seed, a student per method of each.

    Args:
        folder: is made.
        seeds: of the cells.
        changes: top-level keys of grid.json that are other ones.
    """
    cells = []
    for seed in seeds:
        for objective in OBJECTIVES:
            teacher = f"teach-{objective}-{seed}"
            choices = {"model": "convnet_m", "objective": objective, "stop_at": "last"}
            cells.append(_cell(teacher, "teach", choices, seed))
            is_brier = objective == "brier"
            write_cell(folder / "cells" / teacher, 0.7 - 0.05 * is_brier, seed, truth=0.3 - 0.1 * is_brier)
            for method in METHODS:
                gain = GAIN[method][seed % 3] if is_brier else 0.0
                student = f"distill-{objective}-{method}-{seed}"
                choices = {
                    "pair": "convnet_m -> convnet_s",
                    "objective": objective,
                    "stop_at": "last",
                    "method": method,
                }
                cells.append({**_cell(student, "distill", choices, seed, teacher), "needs": [teacher]})
                write_cell(folder / "cells" / student, 0.5 + 0.01 * seed + gain, seed, kind="distill")
    values = {
        "format": 1,
        "name": "small",
        "file": "seed: [0, 1, 2]\n",
        "compare": {"baseline": {"objective": "cross_entropy", "stop_at": "last"}, "over": "seed"},
        "published": [],
        "cells": cells,
        **changes,
    }
    write_json(folder / "grid.json", values)
    return values


def write_cell(run: Path, accuracy: float, seed: int, *, truth: float | None = None, **fields: Any) -> None:
    """Write a run folder with a record of two epochs, the first the better one on validation."""
    run.mkdir(parents=True)
    test = {"accuracy": accuracy, "nll": 1.0, "ece": 0.1, "samples": 10}
    if truth is not None:
        test["truth_mse"] = truth
    history = [
        {
            "epoch": epoch,
            "train": {"loss": 1.0, "accuracy": 0.9},
            "validation": {"accuracy": accuracy + epoch_gain, "nll": 1.0 + epoch, "truth_mse": 0.5},
            "images_per_second": 10.0,
        }
        for epoch, epoch_gain in ((1, 0.1), (2, 0.05))
    ]
    own = {"kind": "teach", "seed": seed, "selected_epoch": 2, "test": test, "train": history[-1]["train"]}
    own |= {"history": history, "reliability": _BARS}
    RunFolder(run).write_record(made_record(**{**own, **fields}))
    config = made_config(fields.get("kind", "teach"), seed=seed)
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def _cell(name: str, verb: str, choices: dict[str, Any], seed: int, teacher: str | None = None) -> dict[str, Any]:
    return {
        "id": name,
        "verb": verb,
        "choices": choices,
        "seed": seed,
        "needs": [],
        "teacher": teacher and {"cell": teacher, "epoch": None},
        "command": ["preceptor", verb, f"seed={seed}", f"out={name}"],
        "run": f"cells/{name}",
    }
