"""The manifest of a label store: which teacher, data, view and encoding its labels depend on, and which files hold them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from preceptor.checksums import json_with_checksum
from preceptor.documents import read_document
from preceptor.errors import UsageError
from preceptor.files import write_text
from preceptor.labels.encoding import Encoding

__all__ = ["LabelSource", "Manifest"]

_MOST_FILES = 10_000_000
_Count = Annotated[int, Field(ge=1, lt=2**40)]


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Everything that labels depend on: any difference makes them other labels.

    Attributes:
        teachers: fingerprint of each teacher's weights and statistics; for several, the mean distribution is stored. Of
            predictions that existed already: of their logits.
        data: fingerprint of the data set's splits.
        samples: rows of the training split.
        view: name of the augmentation.
        view_seed: the seed of the augmentation, which is a function of (view_seed, view number, row).
        encoding: how a row is stored.
        precision: of the teacher's forward pass.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    teachers: tuple[str, ...]
    data: str
    samples: _Count
    view: str
    view_seed: int
    encoding: Encoding
    precision: str

    def differences(self, other: LabelSource) -> list[str]:
        """Return each quantity that differs, as "name: this one, other one"."""
        mine, its = dict(_flat(asdict(self))), dict(_flat(asdict(other)))
        return [f"{name}: {mine[name]} there, {its[name]} here" for name in mine if mine[name] != its[name]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """manifest.json.

    Attributes:
        source: what the labels depend on.
        names: readable names of the teacher and the data; of a file of predictions, its sha256 too.
        views: how many views of each sample are stored, or will be.
        rows_per_shard: rows per file; the last file of a view may have fewer.
        shards: sha256 of each finished file, by name.
        version: of this format.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    source: LabelSource
    names: dict[str, str]
    views: Annotated[int, Field(ge=1, le=100_000)]  # as many as a recipe may ask for
    rows_per_shard: _Count
    shards: dict[str, str] = field(default_factory=dict)
    version: Literal[3] = 3

    def __post_init__(self) -> None:
        if self.views * self._per_view > _MOST_FILES:
            raise UsageError(
                f"{self.views:,} views of {self.source.samples:,} samples, {self.rows_per_shard:,} per file, are more than "
                f"{_MOST_FILES:,} files; a larger rows_per_shard makes fewer"
            )

    @property
    def _per_view(self) -> int:
        return -(-self.source.samples // self.rows_per_shard)

    def missing(self) -> tuple[int, str]:
        """Return how many files are not there yet, and the name of the first; quick, however many views are stated."""
        places = [place for place in map(_place, self.shards) if place is not None]
        known = sum(1 <= view <= self.views and 0 <= number < self._per_view for view, number in places)
        count = self.views * self._per_view - known
        return count, next(name for name, _, _ in self.expected() if name not in self.shards) if count else ""

    def expected(self) -> Iterator[tuple[str, int, range]]:
        """Yield the name, view (from 1) and rows of every file of the store."""
        for view in range(1, self.views + 1):
            for number, start in enumerate(range(0, self.source.samples, self.rows_per_shard)):
                stop = min(start + self.rows_per_shard, self.source.samples)
                yield shard_name(view, number), view, range(start, stop)

    def write(self, folder: Path) -> None:
        """Write manifest.json into a folder, atomically, with its own checksum."""
        write_text(folder / "manifest.json", json_with_checksum(json.dumps(asdict(self), indent=1)))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return a folder's manifest.

        Raises:
            UsageError: when it is missing, damaged or cannot be read.
        """
        path = folder / "manifest.json"
        if not path.exists():
            raise UsageError(f"labels: {folder} holds no labels (no manifest.json)")
        return read_document(path, cls, where="labels: ", sealed=True)


def shard_name(view: int, number: int) -> str:
    """Return the name of a file; views count from 1, the shards of a view from 0."""
    return f"view{view:04d}-{number:05d}.npy"


def _place(name: str) -> tuple[int, int] | None:
    """Return the view and the number in a file's name; None for any other name."""
    found = re.fullmatch(r"view(\d{4,12})-(\d{5,12})\.npy", name, re.ASCII)
    place = None if found is None else (int(found[1]), int(found[2]))
    return place if place is not None and shard_name(*place) == name else None


def _flat(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, value
