"""The folder for the Hub: which files `export` wrote into it, and which of them may be replaced."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from preceptor.artifacts.identify import PYTHON, WEIGHTS
from preceptor.artifacts.run_folder import RunFolder
from preceptor.checksums import json_with_checksum
from preceptor.config.trust import loads_code
from preceptor.documents import read_document
from preceptor.errors import RunError, UsageError
from preceptor.exports.libraries import LIBRARY_FILES, Library
from preceptor.files import write_text
from preceptor.models import ModelMetadata, Normalise, Output

__all__ = ["CARD", "METADATA", "HubFile", "HubFolder"]

CARD, METADATA = "README.md", "preceptor.json"  # our own words stand beside the library's config.json
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
        self._is_taken = (path / METADATA).exists()
        self._stated = read_document(path / METADATA, _Stated, sealed=True) if self._is_taken else _Stated()
        if content and not self._is_taken:
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
                f"hub-folder: {self.path} holds another network ({self._stated.fingerprint}, this one is "
                f"{fingerprint}); choose another folder, or overwrite it (--overwrite)"
            )

    def license_of(self, fingerprint: str) -> str | None:
        """Return the license of a network that the folder records; None where it holds another network."""
        return self._stated.license if self._holds(fingerprint) else None

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
            theirs = [name for name in LIBRARY_FILES if name in self._stated.library_files]
            old = [WEIGHTS, CARD, *theirs, *(file.name for file in files), METADATA] if self._is_taken else []
            for path in (self.path / name for name in old):
                if path.resolve() not in kept:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be made ({error.strerror})") from error
        return ()

    def write_metadata(
        self,
        metadata: ModelMetadata,
        fingerprint: str,
        files: Sequence[HubFile],
        *,
        license: str,
        library: Library,
        library_files: Sequence[str],
    ) -> None:
        """Write preceptor.json, with its checksum.

        Args:
            metadata: of the network.
            fingerprint: of its weights.
            files: that `export` made.
            license: of the weights.
            library: that opens the folder by its own files.
            library_files: names of these.
        """
        values = {
            "library_name": library,
            **_how_to_load(str(metadata.model["name"])),
            **metadata.as_dict(),
            "fingerprint": fingerprint,
            "license": license,
            "files": [asdict(file) for file in files],
            "library_files": list(library_files),
        }
        write_text(self.path / METADATA, json_with_checksum(json.dumps(values, indent=1)))

    def _holds(self, fingerprint: str) -> bool:
        return self._stated.fingerprint == fingerprint

    def _files(self) -> tuple[HubFile, ...]:
        # the list is a file's word: nothing outside the folder, and no file of a kind that `export` does not write
        return tuple(
            file
            for file in self._stated.files
            if Path(file.name).name == file.name and Path(file.name).suffix in _SUFFIXES
        )


def _how_to_load(name: str) -> dict[str, str]:
    """Return an entry that says how to load a network that must be named: one passed from Python, or one of own code."""
    if name.startswith(PYTHON):
        return {"load": 'preceptor.load("FOLDER", model=your_network)'}
    return {"load": f'preceptor.load("FOLDER", model="{name}")'} if loads_code(name) else {}


class _Stated(BaseModel):
    """What is read of preceptor.json."""

    fingerprint: str | None = None
    license: str | None = None
    files: list[HubFile] = []
    library_files: list[str] = []
