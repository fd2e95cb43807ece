"""`preceptor export` and `preceptor.export`: a run's network as a self-contained file, checked before it is kept."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from preceptor.artifacts.compatibility import TrainingDataInfo, check_test
from preceptor.artifacts.create import AnyModel
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.artifacts.identify import PYTHON, kept_weights, run_metadata
from preceptor.artifacts.load import load_run_network, named_section
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.sections import DataSection
from preceptor.config.trust import check_named, remote_places
from preceptor.data import Split
from preceptor.errors import UsageError
from preceptor.exports.deployed import DeployedNetwork, check_outputs, trace
from preceptor.exports.hub import HubFile, HubFolder
from preceptor.exports.onnx import OPSET, open_onnx, quantise, to_onnx
from preceptor.exports.open_model import OpenModel
from preceptor.exports.pt2 import open_pt2, to_pt2
from preceptor.exports.write_hub import check_license, write_hub
from preceptor.files import make_folder, write_atomically
from preceptor.models import METADATA_KEY, ModelMetadata, Normalise, Output, load_weights, save_weights
from preceptor.runner.data import load_data
from preceptor.runner.result import Result

__all__ = ["Exported", "Quantised", "export"]

_SUFFIXES = (".safetensors", ".onnx", ".pt2")
_BATCH_SIZE = 256


@dataclass(frozen=True, slots=True)
class Quantised:
    """Size and accuracy of int8 weights beside float32.

    Attributes:
        path: of the int8 file.
        bytes: its size.
        bytes_before: size of the float32 file.
        samples: number of test samples, on which both were measured.
        accuracy: of the int8 file.
        accuracy_before: of the float32 file.
        operators: the integer operators in the int8 file: ConvInteger, MatMulInteger.
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
        path: of the file; None where only a folder for the Hub was written.
        bytes: its size.
        opset: of an ONNX file.
        difference: largest absolute difference to PyTorch's outputs, on a batch size that was not traced; None for
            safetensors, which are the weights themselves.
        quantised: with int8.
        hub_folder: the folder for the Hub.
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
    """Write a run's network into a self-contained file.

    Class names, normalisation and input shape travel inside the file: in the metadata of `.onnx` and `.safetensors`, among
    the extra files of `.pt2`. A `.onnx` or `.pt2` file takes batches of any size, in float32 on the CPU, and is checked on a
    batch size that was not traced before it is kept.

    Args:
        run: a finished run's folder, or what `teach` or `distill` returned.
        to: FILE.safetensors, FILE.onnx (opset 18) or FILE.pt2 (torch.export); it is replaced. Optional with
            `hub_folder`.
        model: the run's network, where it was passed from Python, as for `preceptor.load`; a name is stored in the file, which
            then says which name to give. Not needed for what `teach` or `distill` returned.
        epoch: a kept epoch of the run (keep_every=N), instead of its result.
        output: "logits" or "probabilities" [batch, classes]. For .onnx and .pt2.
        normalise: "outside": the file takes normalised float32 samples: (pixels / 255 - mean) / std. "inside": it takes
            samples as the data hold them, uint8 pixels 0..255 or, without images, float32, and normalises them itself.
            For .onnx and .pt2.
        int8: also write FILE.int8.onnx, by onnxruntime's dynamic quantisation, and measure both on the run's test split.
        hub_folder: a folder with the weights as model.safetensors, the file, preceptor.json, a model card and, for a network of
            timm or transformers, the files that these libraries open it by; ready to be uploaded. It belongs to one network;
            further formats of that network are added to it.
        license: of the weights, for `hub_folder`: an identifier that the Hub knows, or "unknown". Needed unless the folder
            states one for this network.
        overwrite: delete the files of another network that `export` wrote into `hub_folder`.

    Raises:
        UsageError: for a run that is missing or unfinished, an epoch that was not kept, an unknown suffix, options that do
            not go together, no license, a network that cannot be traced or has an operator that ONNX lacks, a missing extra, a
            `hub_folder` that is not empty and holds something else.
        RunError: when the file's outputs differ from PyTorch's by more than 1e-4, or the disk refuses.
    """
    folder = RunFolder(run.path if isinstance(run, Result) else run)
    target = None if to is None else Path(to)
    _check(folder, target, has_hub=hub_folder is not None, output=output, normalise=normalise, int8=int8)
    hub = None if hub_folder is None else HubFolder(Path(hub_folder))
    metadata = replace(run_metadata(folder), output=output, normalise=normalise)
    weights = folder.weights if epoch is None else kept_weights(folder, [epoch], "epoch")[0]
    if model is not None and not isinstance(model, nn.Module):
        metadata = replace(metadata, model=named_section(metadata.model, model).model_dump())
    network, test = _network(run, folder, weights, model), _test_data(run, folder) if int8 else None
    if hub is not None:
        hub.check(fingerprint(network), overwrite=overwrite)
        license = license or hub.license_of(fingerprint(network))
        check_license(license)
    written = Exported(None, 0)
    if target is not None:
        written = _write(network, metadata, target)
        if test is not None:
            written = replace(written, quantised=_quantise(target, test))
    if hub is not None:
        write_hub(hub, folder, network, metadata, _hub_files(written, metadata), license=str(license), epoch=epoch)
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
    make_folder(to.parent)
    if to.suffix == ".safetensors":
        save_weights(network, to, metadata={"format": "pt", METADATA_KEY: metadata.as_json()})
        return Exported(to, to.stat().st_size)
    deployed = DeployedNetwork(network, metadata)
    program = trace(deployed, metadata)
    if to.suffix == ".onnx":
        content = to_onnx(program, metadata, type(network).__name__)
        forward, _ = open_onnx(content, to)
    else:
        content = to_pt2(program, metadata)
        forward, _ = open_pt2(content, to)
    difference = check_outputs(forward, deployed, metadata)
    write_atomically(to, lambda handle: handle.write(content))
    return Exported(to, len(content), OPSET if to.suffix == ".onnx" else None, difference)


def _network(run: str | Path | Result, folder: RunFolder, weights: Path, model: AnyModel | None) -> nn.Module:
    """Return the run's network with these weights, even where a Result's model has been changed since."""
    if not isinstance(run, Result) or model is not None:
        return load_run_network(folder, weights, model=model, key="--model").eval().float()
    network = copy.deepcopy(run.model).cpu()
    load_weights(network, folder.read_weights(weights))
    return network.eval().float()


def _test_data(run: str | Path | Result, folder: RunFolder) -> Split:
    section = DataSection(**folder.read_config()["data"])
    data = run.data if isinstance(run, Result) else None
    if data is None and section.name.startswith(PYTHON):
        raise UsageError(
            "int8: the run's data were passed from Python, so its accuracy cannot be measured; export the Result that "
            "teach or distill returned"
        )
    if folder.read_record().task == "multilabel":
        raise UsageError("int8: its cost is measured as accuracy among classes, and these data are multi-label")
    if data is None:
        check_named([("data", value) for value in remote_places(section).values()], (), f"run {folder.path}")
        data = load_data(section, fit=TrainingDataInfo.from_run(folder).table)
        check_test("int8", folder, data)
    return data.test


def _quantise(path: Path, test: Split) -> Quantised:
    before = path.read_bytes()
    after, operators = quantise(before)
    smaller = path.with_suffix(".int8.onnx")
    accuracies = []
    for content in (before, after):
        forward, metadata = open_onnx(content, path)
        opened, correct = OpenModel(metadata, forward), 0
        for rows in torch.arange(len(test)).split(_BATCH_SIZE):
            outputs = opened.outputs(test.inputs(rows))
            correct += int((outputs.argmax(1) == test.labels[rows]).sum())
        accuracies.append(correct / len(test))
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


def _hub_files(written: Exported, metadata: ModelMetadata) -> dict[Path, HubFile]:
    """Return the entry of each written file in the folder's list."""
    if written.path is None:
        return {}
    entry, int8 = HubFile(written.path.name, metadata.output, metadata.normalise), written.quantised
    if int8 is None:
        return {written.path: entry}
    return {
        written.path: replace(entry, accuracy=int8.accuracy_before, samples=int8.samples),
        int8.path: replace(entry, name=int8.path.name, accuracy=int8.accuracy, samples=int8.samples),
    }
