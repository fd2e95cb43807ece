"""Reports from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from preceptor.reports import Report, write_report

__all__ = ["report"]


def report(folder: str | Path, *, track: str | Sequence[str] = ()) -> Report:
    """Write report.html, report.md and report.csv into a grid's folder, or into one with run folders below it.

    Args:
        folder: holds grid.json, or runs.
        track: trackers that get the files, under the folder's name; TensorBoard takes none.

    Returns:
        The files, the sentences and the tables above the figures.

    Raises:
        UsageError: when it holds neither, or grid.json is damaged, or a tracker is not installed.
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
    names = (track,) if isinstance(track, str) else tuple(track)
    if not names:
        return write_report(Path(folder))
    from preceptor.runner.progress import show_notes  # noqa: PLC0415  (imports torch)
    from preceptor.runner.trackers import check_trackers, make_tracking  # noqa: PLC0415

    check_trackers(names)
    made = write_report(Path(folder))
    with make_tracking(names, lambda line: show_notes([line])) as tracking:
        tracking.start(made.page.parent, {"report": str(folder)})
        tracking.finish({}, 0, (made.page, made.markdown, made.csv))
    return made
