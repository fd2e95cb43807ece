"""The image files below a folder, and what else lies there."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from preceptor.messages import first_few

__all__ = ["IMAGE_SUFFIXES", "Walked", "files_left_out", "image_files", "is_hidden", "walk"]

# what Pillow decodes, but for documents, films, and formats that it only recognises
_SUFFIXES = (
    "apng avif blp bmp bw cur dcx dds dib gif icb icns ico im j2c j2k jfif jp2 jpc jpe jpeg jpf jpg jpx msp pbm pcd pcx pfm pgm"
    " png pnm ppm psd pxr qoi ras rgb rgba sgi tga tif tiff vda vst webp xbm xpm"
)
IMAGE_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())


@dataclass(slots=True)
class Walked:
    """What lies below a folder.

    Attributes:
        files: the image files, sorted.
        hidden: files that are hidden, or lie in a hidden folder.
        others: files with another suffix.
        loops: links to a folder above them.
        special: pipes, sockets and devices.
    """

    files: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    loops: list[Path] = field(default_factory=list)
    special: list[Path] = field(default_factory=list)


def walk(folder: Path) -> Walked:
    """Return what lies in a folder and below it, linked folders included."""
    found = Walked()
    _walk(folder, found, (folder.resolve(),), hidden=False)
    found.files.sort()
    return found


def image_files(folder: Path) -> list[Path]:
    """Return the image files in a folder and below it, by their suffix, sorted; hidden ones are left out."""
    return walk(folder).files


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is kept by a program for itself: .thumbnails, ._photo.jpg, __MACOSX."""
    return name.startswith(".") or name == "__MACOSX"


def files_left_out(kind: str, place: Path, found: Sequence[Walked]) -> tuple[str, ...]:
    """Return a note on the files below a place that are not read, with their number, if there are any."""
    kinds = {
        "hidden": [path for each in found for path in each.hidden],
        "no image by the suffix": [path for each in found for path in each.others],
        "a link to a folder above": [path for each in found for path in each.loops],
        "a pipe, a socket or a device": [path for each in found for path in each.special],
    }
    parts = [
        f"{len(paths):,} {what} ({first_few([str(path.relative_to(place)) for path in paths])})"
        for what, paths in kinds.items()
        if paths
    ]
    return (f"{kind}: left out of {place}: {'; '.join(parts)}",) if parts else ()


def _walk(folder: Path, found: Walked, above: tuple[Path, ...], *, hidden: bool) -> None:
    for entry in sorted(folder.iterdir()):
        is_left_out = hidden or is_hidden(entry.name)
        mode = _mode(entry)
        if stat.S_ISDIR(mode):
            real = entry.resolve()
            if real in above:
                found.loops.append(entry)
            else:
                _walk(entry, found, (*above, real), hidden=is_left_out)
        elif not stat.S_ISREG(mode):
            found.special.append(entry)
        elif is_left_out:
            found.hidden.append(entry)
        elif entry.suffix.lower() in IMAGE_SUFFIXES:
            found.files.append(entry)
        else:
            found.others.append(entry)


def _mode(entry: Path) -> int:
    """Return what an entry is; a link to nothing counts as a file, so that it is named where it is read."""
    try:
        return entry.stat().st_mode
    except OSError:
        return stat.S_IFREG
