"""`preceptor assess`: from words to tables and pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preceptor.api.measuring import assess
from preceptor.artifacts.identify import must_be_named
from preceptor.artifacts.provenance import command_line
from preceptor.cli.keys import read_sections
from preceptor.console import open_console
from preceptor.distributed import join_processes
from preceptor.errors import UsageError
from preceptor.files import make_folder, write_text
from preceptor.reports import print_assessments, write_assessment_page

__all__ = ["assess_verb"]


def assess_verb(
    words: Sequence[str], *, against: str | None, page: Path | None, json_file: Path | None, workers: int
) -> None:
    """Carry out `preceptor assess`."""
    paths = [word for word in words if "=" not in word]
    data, model, weights_key, classes, onnx = read_sections("assess", [word for word in words if "=" in word])
    if not paths:  # before data are loaded
        raise UsageError("assess: no network given; preceptor assess RUN_FOLDER ...")
    own: dict[str, dict[str, Any]] = (
        {} if model is None else {path: {"model": model} for path in filter(_takes_model, [*paths, against or ""])}
    )
    candidates = [
        {
            "path": path,
            "classes": classes,
            **own.get(path, {}),
            **({"onnx": onnx} if onnx is not None and _is_onnx(path) else {}),
            **({"weights_key": weights_key} if _is_file(path) or not any(map(_is_file, paths)) else {}),
        }
        for path in paths
    ]
    reference = None if against is None else {"path": against, **own.get(against, {})}
    assessments = assess(*candidates, data=data, against=reference, workers=workers)
    if not join_processes().is_first:
        return
    records = [assessment.as_dict() for assessment in assessments]
    print_assessments(records, open_console(width_of_files=120))
    if json_file is not None:
        make_folder(json_file.parent)
        write_text(json_file, json.dumps({"command": command_line(), "assessments": records}, indent=1) + "\n")
    if page is not None:
        subtitle = f"{len(records)} candidates, {records[0]['test']['samples']:,} test samples"
        write_assessment_page(records, page, subtitle=subtitle)
        open_console().print(f"Page: {page}", highlight=False)


def _takes_model(path: str) -> bool:
    return not _is_onnx(path) and (_is_file(path) or must_be_named(Path(path)))


def _is_onnx(path: str) -> bool:
    return Path(path).suffix == ".onnx"


def _is_file(path: str) -> bool:
    return Path(path).is_file()
