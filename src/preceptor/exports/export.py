"""`preceptor export` and `preceptor.export`: a run's network as a file that stands by itself, checked before it is kept."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from preceptor.artifacts.compatibility import TrainingDataInfo
from preceptor.artifacts.create import AnyModel, named
from preceptor.artifacts.identify import PYTHON, WEIGHTS, kept_weights
from preceptor.artifacts.load import load_run_network
from preceptor.artifacts.provenance import fingerprint
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.sections import DataSection
from preceptor.data import Split
from preceptor.errors import RunError, UsageError
from preceptor.exports.card import model_card
from preceptor.exports.deployed import Deployed, check_answers, example, trace
from preceptor.exports.hub import CARD, HubFile, HubFolder
from preceptor.exports.onnx import OPSET, open_onnx, quantise, to_onnx
from preceptor.exports.opened import Opened, run_metadata
from preceptor.exports.pt2 import open_pt2, to_pt2
from preceptor.files import write_atomically, write_text
from preceptor.models import METADATA_KEY, ModelMetadata, Normalise, Output, load_weights, save_weights
from preceptor.runner.data import load_data
from preceptor.runner.result import Result

__all__ = ["Exported", "Quantised", "export"]

_SUFFIXES = (".safetensors", ".onnx", ".pt2")
_BATCH_SIZE = 256


@dataclass(frozen=True, slots=True)
class Quantised:
    """What int8 weights cost and saved.

    Attributes:
        path: of the smaller file.
        bytes: its size.
        bytes_before: of the float32 file.
        samples: of the test split, on which both were measured.
        accuracy: share of them that the smaller file gets right.
        accuracy_before: that the float32 file gets right.
        operators: the integer operators in it: ConvInteger, MatMulInteger.
    """

    path: Path
    bytes: int
    bytes_before: int
    samples: int
    accuracy: float
    accuracy_before: float
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: of the file; None where only a folder for the Hub was asked for.
        bytes: its size.
        opset: of an ONNX file.
        difference: largest absolute difference to PyTorch's answers, on another batch than was traced; None for
            safetensors, which are the weights themselves.
        quantised: where int8 was asked for.
        hub_folder: with the card.
    """

    path: Path | None
    bytes: int
    opset: int | None = None
    difference: float | None = None
    quantised: Quantised | None = None
    hub_folder: Path | None = None


def export(
    run: str | Path | Result,
    to: str | Path | None = None,
    *,
    model: AnyModel | None = None,
    epoch: int | None = None,
    output: Output = "logits",
    normalise: Normalise = "outside",
    int8: bool = False,
    hub_folder: str | Path | None = None,
    license: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a run's network, alone, into a file that stands by itself.

    Class names, normalisation and input shape travel inside the file: in the metadata of `.onnx` and `.safetensors`, among
    the extra files of `.pt2`. A `.onnx` or `.pt2` file takes batches of any size, in float32 on the CPU, and is asked a batch of
    another size than was traced before it is kept.

    Args:
        run: a finished run's folder, or what `teach` or `distill` returned.
        to: FILE.safetensors, FILE.onnx (opset 18) or FILE.pt2 (torch.export); it is replaced. It may be left out where there is
            a `hub_folder`.
        model: the run's network, where that was passed from Python, as for `preceptor.load`; a name goes into the file, which
            then knows its network. What `teach` or `distill` returned has it.
        epoch: one that the run kept (keep_every=N), instead of its result.
        output: "logits" or "probabilities" [batch, classes]. For .onnx and .pt2.
        normalise: "outside": the file takes float32 samples that are normalised already: (pixels / 255 - mean) / std.
            "inside": it takes them as the data hold them, uint8 pixels 0..255, or float32 where the data were no
            images, and does that itself. For .onnx and .pt2.
        int8: beside FILE.onnx write FILE.int8.onnx, by onnxruntime's dynamic quantisation, and measure both on the
            run's test split.
        hub_folder: a folder with the weights as model.safetensors, the file, config.json and a model card, ready to be
            uploaded. It belongs to one network: more formats of that one are added to it.
        license: an identifier that the Hub knows, for the card; by default what `hub_folder` said of this network before, or
            unknown.
        overwrite: delete what `export` wrote of another network into `hub_folder`.

    Raises:
        UsageError: for a run that is missing or unfinished, an epoch that it did not keep, another suffix, options that do
            not go together, a network that cannot be traced or has an operator that ONNX has not, a missing extra, a
            `hub_folder` that is not empty and holds something else.
        RunError: when the file's answers differ from PyTorch's by more than 1e-4, or the disk refuses.
    """
    folder = RunFolder(run.path if isinstance(run, Result) else run)
    target = None if to is None else Path(to)
    _check(folder, target, has_hub=hub_folder is not None, output=output, normalise=normalise, int8=int8)
    hub = None if hub_folder is None else HubFolder(Path(hub_folder))
    metadata = replace(run_metadata(folder), output=output, normalise=normalise)
    weights = folder.weights if epoch is None else kept_weights(folder, epoch, "epoch")
    if model is not None and not isinstance(model, nn.Module):
        metadata = replace(metadata, model=named(model).model_dump())
    network, test = _network(run, folder, weights, model), _test_data(run, folder) if int8 else None
    if hub is not None:
        hub.check(fingerprint(network), overwrite=overwrite)
    written = Exported(None, 0)
    if target is not None:
        written = _write(network, metadata, target)
        if test is not None:
            written = replace(written, quantised=_quantise(target, test))
    if hub is not None:
        outputs = _width(network, metadata)
        _write_hub(hub, folder, network, metadata, written, outputs, license=license, epoch=epoch)
        written = replace(written, hub_folder=hub.path)
    return written


def _check(
    folder: RunFolder, to: Path | None, *, has_hub: bool, output: Output, normalise: Normalise, int8: bool
) -> None:
    if to is None and not has_hub:
        raise UsageError(f"export: say where to: --to FILE{', FILE'.join(_SUFFIXES)}, or --hub-folder FOLDER")
    if to is not None and to.suffix not in _SUFFIXES:
        raise UsageError(f"to: {to} is no FILE{', FILE'.join(_SUFFIXES)}")
    if int8 and (to is None or to.suffix != ".onnx"):
        raise UsageError(f"int8: is for FILE.onnx, and the file is {to or 'model.safetensors'}")
    for key, value, default in (("output", output, "logits"), ("normalise", normalise, "outside")):
        if value != default and (to is None or to.suffix == ".safetensors"):
            raise UsageError(f"{key}: {value} is for .onnx and .pt2; .safetensors hold the network's weights alone")
    if to is not None and to.parent.exists() and not to.parent.is_dir():
        raise UsageError(f"export: {to.parent} is a file, not a folder")
    if to is not None and to.resolve() == folder.weights.resolve():
        raise UsageError(f"to: {to} is the run's own weights file; choose another name")


def _write(network: nn.Module, metadata: ModelMetadata, to: Path) -> Exported:
    _make(to.parent)
    if to.suffix == ".safetensors":
        save_weights(network, to, metadata={"format": "pt", METADATA_KEY: metadata.as_json()})
        return Exported(to, to.stat().st_size)
    deployed = Deployed(network, metadata)
    program = trace(deployed, metadata)
    if to.suffix == ".onnx":
        content = to_onnx(program, metadata, type(network).__name__)
        answer, _ = open_onnx(content, to)
    else:
        content = to_pt2(program, metadata)
        answer, _ = open_pt2(content, to)
    difference = check_answers(answer, deployed, metadata)
    write_atomically(to, lambda handle: handle.write(content))
    return Exported(to, len(content), OPSET if to.suffix == ".onnx" else None, difference)


def _network(run: str | Path | Result, folder: RunFolder, weights: Path, model: AnyModel | None) -> nn.Module:
    """Return the run's network with these weights, whatever a Result's model has become since."""
    if not isinstance(run, Result) or model is not None:
        return load_run_network(folder, weights, model=model, key="--model")[0].eval()
    network = copy.deepcopy(run.model).cpu()
    load_weights(network, weights)
    return network.eval()


def _test_data(run: str | Path | Result, folder: RunFolder) -> Split:
    section = DataSection(**folder.read_config()["data"])
    given = run.data if isinstance(run, Result) else None
    if given is None and section.name.startswith(PYTHON):
        raise UsageError(
            "int8: the run's data were passed from Python, so what it costs cannot be measured; export the Result that "
            "teach or distill returned"
        )
    if folder.read_result().get("task") == "multilabel":
        raise UsageError("int8: what it costs is measured as accuracy among classes, and these data are multi-label")
    return (given or load_data(section, fit=TrainingDataInfo.from_run(folder).table)).test


def _quantise(path: Path, test: Split) -> Quantised:
    before = path.read_bytes()
    after, operators = quantise(before)
    smaller = path.with_suffix(".int8.onnx")
    accuracies = []
    for content in (before, after):
        answer, metadata = open_onnx(content, path)
        opened, right = Opened(metadata, answer), 0
        for rows in torch.arange(len(test)).split(_BATCH_SIZE):
            outputs = opened.outputs(test.inputs(rows))
            right += int((outputs.argmax(1) == test.labels[rows]).sum())
        accuracies.append(right / len(test))
    write_atomically(smaller, lambda handle: handle.write(after))
    return Quantised(
        path=smaller,
        bytes=len(after),
        bytes_before=len(before),
        samples=len(test),
        accuracy=accuracies[1],
        accuracy_before=accuracies[0],
        operators=operators,
    )


def _write_hub(
    hub: HubFolder,
    folder: RunFolder,
    network: nn.Module,
    metadata: ModelMetadata,
    written: Exported,
    outputs: int,
    *,
    license: str | None,
    epoch: int | None,
) -> None:
    """Write weights, the files beside them, config.json and the card that tells of all that lies there then."""
    plain, identity = replace(metadata, output="logits", normalise="outside"), fingerprint(network)
    new = {} if written.path is None else _listed(written, written.path, metadata)
    listed = {file.name: file for file in hub.open_for(identity, list(new))}
    save_weights(network, hub.path / WEIGHTS, metadata={"format": "pt", METADATA_KEY: plain.as_json()})
    listed[WEIGHTS] = HubFile(WEIGHTS)
    for path, file in new.items():
        is_there = path.resolve() == (hub.path / path.name).resolve()
        if not is_there and path.suffix == ".safetensors":
            continue  # the same weights once more
        if not is_there:
            content = path.read_bytes()
            write_atomically(hub.path / path.name, lambda handle, content=content: handle.write(content))  # type: ignore[misc]
        listed[path.name] = file
    files = sorted(listed.values(), key=lambda file: (file.name != WEIGHTS, len(file.name), file.name))
    licensed = license or hub.license_of(identity) or "unknown"
    hub.write_config(plain, identity, files, licensed)
    card = model_card(
        folder.read_config(), folder.read_result(), plain, files, license=licensed, outputs=outputs, epoch=epoch
    )
    write_text(hub.path / CARD, card)


def _listed(written: Exported, path: Path, metadata: ModelMetadata) -> dict[Path, HubFile]:
    """Return what the folder tells of each file that was written."""
    plain, small = HubFile(path.name, metadata.output, metadata.normalise), written.quantised
    if small is None:
        return {path: plain}
    return {
        path: replace(plain, accuracy=small.accuracy_before, samples=small.samples),
        small.path: replace(plain, name=small.path.name, accuracy=small.accuracy, samples=small.samples),
    }


def _width(network: nn.Module, metadata: ModelMetadata) -> int:
    """Return how many outputs a network has."""
    with torch.no_grad():
        outputs: int = network(example(replace(metadata, normalise="outside"), 2)).shape[1]
    return outputs


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made ({error.strerror})") from error
