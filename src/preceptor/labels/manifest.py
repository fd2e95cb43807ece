"""The manifest of a label store: which teacher, data, view and encoding its labels depend on, and which files hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from preceptor.checksums import check_json, json_with_checksum
from preceptor.errors import UsageError
from preceptor.files import write_text
from preceptor.labels.encoding import Encoding

__all__ = ["LabelSource", "Manifest"]

_VERSION = 3


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Everything that labels depend on: any difference makes them other labels.

    Attributes:
        teachers: fingerprint of each teacher's weights and statistics; for several, the mean distribution is stored.
        data: fingerprint of the data set's splits.
        samples: rows of the training split.
        view: name of the augmentation.
        view_seed: the seed of the augmentation, which is a function of (view_seed, view number, row).
        encoding: how a row is stored.
        precision: of the teacher's forward pass.
    """

    teachers: tuple[str, ...]
    data: str
    samples: int
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
        names: readable names of the teacher and the data.
        views: how many views of each sample are stored, or will be.
        rows_per_shard: rows per file; the last file of a view may have fewer.
        shards: sha256 of each finished file, by name.
    """

    source: LabelSource
    names: Mapping[str, str]
    views: int
    rows_per_shard: int
    shards: Mapping[str, str] = field(default_factory=dict)

    def expected(self) -> Iterator[tuple[str, int, range]]:
        """Yield the name, view (from 1) and rows of every file of the store."""
        for view in range(1, self.views + 1):
            for number, start in enumerate(range(0, self.source.samples, self.rows_per_shard)):
                stop = min(start + self.rows_per_shard, self.source.samples)
                yield shard_name(view, number), view, range(start, stop)

    def write(self, folder: Path) -> None:
        """Write manifest.json into a folder, atomically, with its own checksum."""
        text = json.dumps({"version": _VERSION, **asdict(self)}, indent=1)
        write_text(folder / "manifest.json", json_with_checksum(text))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return a folder's manifest.

        Raises:
            UsageError: when it is missing, damaged or cannot be read.
        """
        path = folder / "manifest.json"
        if not path.exists():
            raise UsageError(f"labels: {folder} holds no labels (no manifest.json)")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            version = values.pop("version")
            if version != _VERSION:
                raise UsageError(f"labels: {path} has version {version}, this program reads {_VERSION}")
            del values["sha256"]
            source = values.pop("source")
            source |= {"teachers": tuple(source["teachers"]), "encoding": Encoding(**source["encoding"])}
            manifest = cls(source=LabelSource(**source), **values)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"labels: {path} cannot be read ({' '.join(str(error).split())})") from error
        check_json(path)
        return manifest


def shard_name(view: int, number: int) -> str:
    """Return the name of a file; views count from 1, the shards of a view from 0."""
    return f"view{view:04d}-{number:05d}.npy"


def _flat(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, value
