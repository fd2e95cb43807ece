"""Reports from Python, and the page that each run gets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from preceptor.artifacts.run_folder import RunFolder
from preceptor.messages import first_line
from preceptor.reports import Report, write_report, write_run_page

__all__ = ["draw_run", "report"]


def report(folder: str | Path, *, track: str | Sequence[str] = ()) -> Report:
    """Write report.html, report.md and report.csv into a grid's folder, or into one with run folders below it.

    Into the folder of one run: report.html, and its figures in pictures/.

    Args:
        folder: holds grid.json, or runs, or is a run.
        track: trackers that get the files, under the folder's name; TensorBoard takes none.

    Returns:
        The files, the sentences and the tables above the figures.

    Raises:
        UsageError: when it holds neither, or grid.json is damaged, or a tracker is not installed.
        RunError: when the disk refuses.

    Examples:
        >>> import tempfile
        >>> import preceptor
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     teacher = preceptor.teach(data="digits", model="convnet_s", epochs=1, out=f"{folder}/t", progress=False)
        ...     made = preceptor.report(folder)
        >>> made.page.name, made.findings[0][:15]
        ('report.html', 'Runs without a ')
    """
    names = (track,) if isinstance(track, str) else tuple(track)
    write = write_run_page if RunFolder(folder).config.exists() else write_report
    if not names:
        return write(Path(folder))
    from preceptor.runner.progress import show_notes  # noqa: PLC0415  (imports torch)
    from preceptor.runner.trackers import check_trackers, make_tracking  # noqa: PLC0415

    check_trackers(names)
    made = write(Path(folder))
    with make_tracking(names, lambda line: show_notes([line])) as tracking:
        tracking.start(made.page.parent, {"report": str(folder)})
        tracking.finish({}, 0, [path for path in (made.page, made.markdown, made.csv) if path is not None])
    return made


def draw_run(path: Path, *, show: bool = True) -> None:
    """Write the page of a run that has just ended, and of the teacher assistants that it trained.

    Nothing is written where PRECEPTOR_REPORT=0, or by other processes than the first. A page cannot fail a finished run: what
    goes wrong is told.

    Args:
        path: of the run folder.
        show: whether to tell.
    """
    from preceptor.distributed import join_processes  # noqa: PLC0415  (imports torch)
    from preceptor.runner.comparison import is_reported  # noqa: PLC0415
    from preceptor.runner.progress import show_notes  # noqa: PLC0415

    if not (is_reported() and join_processes().is_first):
        return
    try:
        for folder in (str(path), *RunFolder(path).read_record().assistants):
            write_run_page(Path(folder))
    except Exception as error:  # of a library that draws, of a full disk
        show_notes([f"report.html: not written ({first_line(error)})"] if show else [])
