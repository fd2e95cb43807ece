"""The folder for the Hub: which files `export` wrote into it, and which of them may be replaced."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from preceptor.artifacts.identify import PYTHON, WEIGHTS
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.trust import loads_code
from preceptor.documents import read_document
from preceptor.errors import RunError, UsageError
from preceptor.files import write_text
from preceptor.models import ModelMetadata, Normalise, Output

__all__ = ["CARD", "HubFile", "HubFolder"]

CARD, CONFIG = "README.md", "config.json"
_LIBRARY = "preceptor"
_SUFFIXES = (".safetensors", ".onnx", ".pt2")  # of the files that `export` lists


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in the folder.

    Attributes:
        name: of the file.
        output: what it returns.
        normalise: whether the file normalises its inputs ("inside") or takes them normalised.
        accuracy: on the test split, where it was measured on this very file.
        samples: number of test samples it was measured on.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    output: Output = "logits"
    normalise: Normalise = "outside"
    accuracy: float | None = None
    samples: int | None = None


class HubFolder:
    """A folder that belongs to one network; hidden files (`.git`) are ignored.

    Args:
        path: the folder; it need not exist yet.

    Raises:
        UsageError: when it is not empty and was not written by `export`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise UsageError(f"export: {path} is a file, not a folder")
        if RunFolder(path).config.exists():
            raise UsageError(f"hub-folder: {path} is a run folder; choose another")
        content = sorted(entry.name for entry in path.iterdir() if entry.name[0] != ".") if path.exists() else []
        self._config = _read(path / CONFIG)
        self._is_taken = bool(content)
        if content and self._config.library_name != _LIBRARY:
            raise UsageError(
                f"hub-folder: {path} is not empty and was not written by export ({content[0]}, ...); choose another folder"
            )

    def check(self, fingerprint: str, *, overwrite: bool) -> None:
        """Check that the folder may hold a network.

        Args:
            fingerprint: of its weights.
            overwrite: whether another network's files may be replaced.

        Raises:
            UsageError: when it holds another network that may not be replaced.
        """
        if self._is_taken and not overwrite and not self._holds(fingerprint):
            raise UsageError(
                f"hub-folder: {self.path} holds another network ({self._config.fingerprint}, this one is "
                f"{fingerprint}); choose another folder, or overwrite it (--overwrite)"
            )

    def license_of(self, fingerprint: str) -> str | None:
        """Return the license of a network that the folder records; None where it holds another network."""
        return self._config.license if self._holds(fingerprint) else None

    def open_for(self, fingerprint: str, fresh: Sequence[Path]) -> tuple[HubFile, ...]:
        """Make the folder, delete another network's files in it, and return the files of this one.

        Args:
            fingerprint: of its weights.
            fresh: files that were just written, which are kept.

        Raises:
            RunError: when the disk refuses.
        """
        files = self._files()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self._holds(fingerprint):
                return tuple(file for file in files if (self.path / file.name).is_file())
            kept = {path.resolve() for path in fresh}
            old = [WEIGHTS, CONFIG, CARD, *(file.name for file in files)] if self._is_taken else []
            for path in (self.path / name for name in old):
                if path.resolve() not in kept:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be made ({error.strerror})") from error
        return ()

    def write_config(self, metadata: ModelMetadata, fingerprint: str, files: Sequence[HubFile], license: str) -> None:
        """Write config.json: the metadata, the library that reads them, and the files in the folder."""
        values = {
            "library_name": _LIBRARY,
            **_how_to_load(str(metadata.model["name"])),
            **metadata.as_dict(),
            "fingerprint": fingerprint,
            "license": license,
            "files": [asdict(file) for file in files],
        }
        write_text(self.path / CONFIG, json.dumps(values, indent=1) + "\n")

    def _holds(self, fingerprint: str) -> bool:
        return self._config.fingerprint == fingerprint

    def _files(self) -> tuple[HubFile, ...]:
        # the list is a file's word: nothing outside the folder, and no file of a kind that `export` does not write
        return tuple(
            file
            for file in self._config.files
            if Path(file.name).name == file.name and Path(file.name).suffix in _SUFFIXES
        )


def _how_to_load(name: str) -> dict[str, str]:
    """Return an entry that says how to load a network that must be named: one passed from Python, or one of own code."""
    if name.startswith(PYTHON):
        return {"load": 'preceptor.load("FOLDER", model=your_network)'}
    return {"load": f'preceptor.load("FOLDER", model="{name}")'} if loads_code(name) else {}


class _Config(BaseModel):
    """What is read of config.json; a folder of another library has one, too."""

    library_name: str | None = None
    fingerprint: str | None = None
    license: str | None = None
    files: list[HubFile] = []


def _read(path: Path) -> _Config:
    """Return what a folder's config.json says; where there is none, nothing."""
    return read_document(path, _Config) if path.exists() else _Config()
