"""One self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preceptor.artifacts.provenance import command_line, versions
from preceptor.files import make_folder, write_text

__all__ = ["write_page"]


def write_page(content: Mapping[str, Any], page: Path, *, template: str = "page.html") -> None:
    """Fill a template and write it atomically; the page's folder is made.

    Args:
        content: the values that the template names; command and versions are by default those of this process.
        page: the file.
        template: a file of templates/.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape  # noqa: PLC0415  (slow import, wanted only here)

    environment = Environment(loader=PackageLoader("preceptor.reports"), autoescape=select_autoescape())
    make_folder(page.parent)
    here = {"command": command_line(), "versions": ", ".join(f"{name} {number}" for name, number in versions().items())}
    write_text(page, environment.get_template(template).render({**here, **content}))
