"""The run folder and its provenance."""

from preceptor.runs.folder import RunFolder
from preceptor.runs.provenance import command_line, git_commit, versions

__all__ = ["RunFolder", "command_line", "git_commit", "versions"]
