"""`preceptor assess`, from words to tables and pages."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from preceptor.api.measuring import assess
from preceptor.artifacts.identify import is_from_python
from preceptor.artifacts.provenance import command_line, versions
from preceptor.config.overrides import make_recipe
from preceptor.config.sections import TeachRecipe
from preceptor.distributed import join_processes
from preceptor.errors import UsageError
from preceptor.files import write_text
from preceptor.report import print_assessments, write_assessment_page

__all__ = ["assess_verb"]


def assess_verb(
    words: Sequence[str], *, against: str | None, page: Path | None, json_file: Path | None, workers: int
) -> None:
    """Carry out `preceptor assess`."""
    paths = [word for word in words if "=" not in word]
    settings = [word for word in words if "=" in word]
    wrong = [word.split("=")[0] for word in settings if word.split("=")[0].split(".")[0] not in {"data", "model"}]
    if wrong:
        raise UsageError(f"{wrong[0]}: assess takes data=..., data.KEY=... and model=NAME only")
    if not paths:
        raise UsageError("assess: no network given; preceptor assess RUN_FOLDER ...")
    model = next((word.split("=", 1)[1] for word in settings if word.startswith("model=")), None)
    data_words = [word for word in settings if not word.startswith("model=")]
    data = make_recipe(TeachRecipe, {"model": "none"}, data_words).data.model_dump() if data_words else None
    told = [model is not None and (Path(path).is_file() or is_from_python(Path(path))) for path in paths]
    found = assess(
        *({"path": path, **({"model": model} if is_told else {})} for path, is_told in zip(paths, told, strict=True)),
        data=data,
        against=against,
        workers=workers,
    )
    if not join_processes().is_first:
        return
    records = [assessment.as_dict() for assessment in found]
    print_assessments(records, Console() if sys.stdout.isatty() else Console(width=120))
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_text(json_file, json.dumps({"command": command_line(), "assessments": records}, indent=1) + "\n")
    if page is not None:
        made_with = ", ".join(f"{name} {version}" for name, version in versions().items())
        subtitle = f"{len(records)} candidates, {records[0]['test']['samples']:,} test samples"
        write_assessment_page(records, page, subtitle=subtitle, command=command_line(), versions=made_with)
        Console().print(f"Page: {page}", highlight=False)
