"""What a folder of labels says about itself: who answered, about which data, seen how, and which files hold it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from preceptor.errors import UsageError
from preceptor.files import write_text
from preceptor.labels.encoding import Encoding

__all__ = ["LabelsOf", "Manifest"]

_VERSION = 1


@dataclass(frozen=True, slots=True)
class LabelsOf:
    """What labels depend on: any difference makes them other labels.

    Attributes:
        teachers: fingerprint of each teacher's weights and statistics; of several, the mean distribution is stored.
        data: fingerprint of the data set's splits.
        samples: rows of the training split.
        view: name of the augmentation.
        view_seed: of its keys (view_seed, view number, row).
        encoding: how a row lies on disk.
        precision: of the teacher's forward pass.
    """

    teachers: tuple[str, ...]
    data: str
    samples: int
    view: str
    view_seed: int
    encoding: Encoding
    precision: str

    def differences(self, other: LabelsOf) -> list[str]:
        """Return each quantity that differs, as "name: this one, other one"."""
        mine, theirs = dict(_flat(asdict(self))), dict(_flat(asdict(other)))
        return [f"{name}: {mine[name]} there, {theirs[name]} here" for name in mine if mine[name] != theirs[name]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """manifest.json.

    Attributes:
        of: what the labels depend on.
        names: what a person calls teacher and data.
        views: how many views of each sample are stored, or are going to be.
        rows_per_shard: rows a file holds, but for each view's last.
        shards: sha256 of each finished file, by name.
    """

    of: LabelsOf
    names: Mapping[str, str]
    views: int
    rows_per_shard: int
    shards: Mapping[str, str] = field(default_factory=dict)

    def expected(self) -> Iterator[tuple[str, int, range]]:
        """Yield the name, view (from 1) and rows of every file that belongs here."""
        for view in range(1, self.views + 1):
            for number, start in enumerate(range(0, self.of.samples, self.rows_per_shard)):
                yield (
                    shard_name(view, number),
                    view,
                    range(start, min(start + self.rows_per_shard, self.of.samples)),
                )

    def write(self, folder: Path) -> None:
        """Write it into its folder, atomically."""
        write_text(folder / "manifest.json", json.dumps({"version": _VERSION, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return a folder's manifest.

        Raises:
            UsageError: when there is none, or none that can be read.
        """
        path = folder / "manifest.json"
        if not path.exists():
            raise UsageError(f"labels: {folder} holds no labels (no manifest.json)")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            version = values.pop("version")
            if version != _VERSION:
                raise UsageError(f"labels: {path} has version {version}, this program reads {_VERSION}")
            of = values.pop("of")
            encoding = Encoding(**of.pop("encoding"))
            return cls(of=LabelsOf(**{**of, "teachers": tuple(of["teachers"])}, encoding=encoding), **values)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"labels: {path} cannot be read ({' '.join(str(error).split())})") from error


def shard_name(view: int, number: int) -> str:
    """Return the name of a file, views counted from 1, shards of a view from 0."""
    return f"view{view:04d}-{number:05d}.npy"


def _flat(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, value
