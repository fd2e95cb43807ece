"""A record of a run, for tests of what reads records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from preceptor.artifacts.record import RunRecord
from preceptor.checksums import json_with_checksum, sha256_of_file
from preceptor.config.sections import DistillRecipe, TeachRecipe

__all__ = ["change_config", "change_json", "made_config", "made_record", "write_json"]


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file that ends with its checksum."""
    path.write_text(json_with_checksum(json.dumps(values, indent=1)))


def change_json(path: Path, **values: Any) -> None:
    """Change values of a JSON file that ends with its checksum, which is made anew."""
    content = {key: value for key, value in json.loads(path.read_text()).items() if key != "sha256"}
    write_json(path, {**content, **values})


def change_config(run: Path, **values: Any) -> None:
    """Change keys of the configuration of a finished run, and its checksum in the run's record."""
    config = run / "config.yaml"
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **values}))
    checksums = json.loads((run / "result.json").read_text())["checksums"]
    change_json(run / "result.json", checksums={**checksums, config.name: sha256_of_file(config)})


def made_config(kind: str = "teach", **fields: Any) -> dict[str, Any]:
    """Return the configuration of a run on digits as config.yaml holds it, with some fields of one's own."""
    recipe: type[TeachRecipe | DistillRecipe] = TeachRecipe if kind == "teach" else DistillRecipe
    values = {"data": {"name": "digits"}, "model": {"name": "mlp"}, **fields}
    return {"kind": kind, **recipe.model_validate(values).model_dump(mode="json")}


def made_record(**fields: Any) -> RunRecord:
    """Return the record of a short run on three classes, with some fields of one's own."""
    row = {"epoch": 1, "train": {"loss": 1.0, "accuracy": 1.0}, "validation": {}, "images_per_second": 10.0}
    values: dict[str, Any] = {
        "kind": "teach",
        "command": "preceptor teach",
        "seed": 0,
        "test": {"accuracy": 0.5, "samples": 10},
        "test_name": "test",
        "selected_epoch": 1,
        "validation": {},
        "train": row["train"],
        "reliability": None,
        "history": [row],
        "seconds": 1.0,
        "images_per_second": 10.0,
        "parameters": 3,
        "task": "multiclass",
        "num_classes": 3,
        "class_names": ("a", "b", "c"),
        "input_shape": (4,),
        "input_dtype": "float32",
        "preprocessing": {"mean": (), "std": ()},
        "vocabulary": None,
        "table": None,
        "data_fingerprint": "0" * 16,
        "test_fingerprint": "0" * 16,
        "source_fingerprint": None,
        "truth_fingerprint": None,
        "unlabelled_fingerprint": None,
        "labels_fingerprint": None,
        "teacher_fingerprint": None,
        "assistants": [],
        "start_fingerprint": None,
        "model": {"name": "mlp"},
        "device": "cpu",
        "precision": "fp32",
        "compiled": False,
        "versions": {"torch": "2"},
        "git": None,
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:01+00:00",
        "checksums": {},
    }
    return RunRecord(**{**values, **fields})
