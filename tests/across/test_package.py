"""What an index and a citation say of the package is one thing: version, license, name."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import preceptor

ROOT = Path(__file__).parents[2]


def test_version_license_and_name_are_the_same_everywhere() -> None:
    project = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[0]
    stated = dict(re.findall(r'^(name|version|license) = "(.*)"$', project, re.M))
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert stated == {"name": "preceptor", "version": cited["version"], "license": cited["license"]}
    assert preceptor.__version__ == stated["version"]
    assert f"## {stated['version']}" in (ROOT / "CHANGELOG.md").read_text()
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_extras_that_messages_name_exist() -> None:
    """`pip install preceptor[NAME]` stands in messages, and in constraints nothing that is no dependency."""
    project = (ROOT / "pyproject.toml").read_text()
    extras = set(
        re.findall(r"^(\w+) = \[", project.split("[project.optional-dependencies]")[1].split("[project.")[0], re.M)
    )
    sources = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r'import_extra\("[\w.]+", "(\w+)"', sources)) | set(
        re.findall(r"preceptor\[(\w+)\]", sources)
    )
    assert named - {"name"} <= extras
    pinned = re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(), re.M)
    assert set(pinned) == {name for name in pinned if re.search(rf'"{name}>=', project)}
