"""Where a result comes from: versions, commit, command, machine."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

__all__ = ["command_line", "git_commit", "versions"]


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers depend on, and the kind of processor."""
    packages = {name: metadata.version(name) for name in ("preceptor", "torch", "numpy")}
    return {"python": platform.python_version(), **packages, "machine": f"{platform.machine()}, {os.cpu_count()} cores"}


def git_commit() -> str | None:
    """Return the commit of the working folder, with "+" when it has uncommitted changes; None outside git."""
    try:
        process = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip() or None


def command_line() -> str:
    """Return the command that started this process, as one would type it."""
    program = Path(sys.argv[0]).name or "python"
    words = ["python", "-m", "preceptor"] if program == "__main__.py" else [program]
    return shlex.join([*words, *sys.argv[1:]])
