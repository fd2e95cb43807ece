"""Reports from Python."""

from __future__ import annotations

from pathlib import Path

from preceptor.reports import Report, write_report

__all__ = ["report"]


def report(folder: str | Path) -> Report:
    """Write report.html, report.md and report.csv into a grid's folder, or into one with run folders below it.

    Args:
        folder: holds grid.json, or runs.

    Returns:
        The files, the sentences and the tables above the figures.

    Raises:
        UsageError: when it holds neither, or grid.json is damaged.
        RunError: when the disk refuses.

    Example:
        >>> import tempfile
        >>> import preceptor
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     teacher = preceptor.teach(data="digits", model="convnet_s", epochs=1, out=f"{folder}/t", progress=False)
        ...     made = preceptor.report(folder)
        >>> made.page.name, made.findings[0][:15]
        ('report.html', 'Runs without a ')
    """
    return write_report(Path(folder))
