"""What `export` writes into a folder for the Hub: weights, other formats, the library's files, our metadata, the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from preceptor.artifacts.fingerprints import fingerprint
from preceptor.artifacts.identify import WEIGHTS
from preceptor.artifacts.run_folder import RunFolder
from preceptor.errors import UsageError
from preceptor.exports.card import model_card
from preceptor.exports.deployed import example_inputs
from preceptor.exports.hub import CARD, HubFile, HubFolder
from preceptor.exports.libraries import library_files
from preceptor.files import write_atomically, write_text
from preceptor.models import METADATA_KEY, ModelMetadata, logits_of, save_weights
from preceptor.runner.progress import show_notes

__all__ = ["check_license", "write_hub"]


def check_license(license: str | None) -> None:
    """Check that a license was named.

    Raises:
        UsageError: when there is none.
    """
    if license is None:
        raise UsageError(
            "license: a folder for the Hub states the license of its weights, and none was named; --license mit (or another "
            "identifier of the Hub), or --license unknown"
        )


def write_hub(
    hub: HubFolder,
    folder: RunFolder,
    network: nn.Module,
    metadata: ModelMetadata,
    new: Mapping[Path, HubFile],
    *,
    license: str,
    epoch: int | None,
) -> None:
    """Write a network into a folder for the Hub.

    preceptor.json goes first: after an interruption the folder is known as ours, and exporting again completes it.

    Args:
        hub: the folder.
        folder: of the run.
        network: with its weights.
        metadata: of the network.
        new: files in other formats that were just written, and what they are.
        license: of the weights.
        epoch: a kept epoch whose weights they are; None: the run's result.

    Raises:
        RunError: when the disk refuses.
    """
    plain, identity = replace(metadata, output="logits", normalise="outside"), fingerprint(network)
    outputs, config = _width(network, plain), folder.read_config()
    theirs = library_files(network, plain, outputs, config["data"].get("tokenizer"))
    files = _listed(hub, identity, new)
    hub.write_metadata(
        plain, identity, files, license=license, library=theirs.library, library_files=list(theirs.files)
    )
    save_weights(network, hub.path / WEIGHTS, metadata={"format": "pt", METADATA_KEY: plain.as_json()})
    for path in new:
        if (hub.path / path.name).resolve() != path.resolve() and path.name in {file.name for file in files}:
            _write(hub.path / path.name, path.read_bytes())
    for name, content in theirs.files.items():
        _write(hub.path / name, content)
    card = model_card(
        config, folder.read_record(), plain, files, theirs=theirs, license=license, outputs=outputs, epoch=epoch
    )
    write_text(hub.path / CARD, card)
    show_notes(theirs.notes)


def _listed(hub: HubFolder, identity: str, new: Mapping[Path, HubFile]) -> list[HubFile]:
    """Return the files that the folder will hold: of each format the shortest name first, the weights before all."""
    by_name = {file.name: file for file in hub.open_for(identity, list(new))} | {WEIGHTS: HubFile(WEIGHTS)}
    for path, file in new.items():
        is_there = path.resolve() == (hub.path / path.name).resolve()
        if is_there or path.suffix != ".safetensors":  # the same weights once more
            by_name[path.name] = file
    return sorted(by_name.values(), key=lambda file: (file.name != WEIGHTS, len(file.name), file.name))


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda handle: handle.write(content))


def _width(network: nn.Module, metadata: ModelMetadata) -> int:
    """Return the number of outputs of a network."""
    with torch.no_grad():
        return logits_of(network(example_inputs(metadata, 2)), network).shape[1]
