"""The model card of an exported student, in the Hub's format: what it is, what it scored and where that came from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from preceptor.artifacts.identify import PYTHON
from preceptor.artifacts.record import RunRecord
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.trust import loads_code
from preceptor.errors import UsageError
from preceptor.escaping import markdown, markdown_cell, markdown_code, terminal
from preceptor.exports.hub import HubFile
from preceptor.exports.libraries import LibraryFiles
from preceptor.exports.onnx import INPUT
from preceptor.messages import first_few
from preceptor.models import ModelMetadata
from preceptor.types import Preprocessing

__all__ = ["model_card"]

_PERCENT = {"accuracy", "top5"}
_ON_THE_HUB = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}
_EXTRAS = {"timm": "vision", "torchvision": "vision", "hf": "hf"}
_TOKEN_ROWS = ("input_ids", "attention_mask", "token_type_ids")
_FEW = 4  # channels whose mean and std the card spells out


def model_card(
    config: Mapping[str, Any],
    record: RunRecord,
    metadata: ModelMetadata,
    files: Sequence[HubFile],
    *,
    theirs: LibraryFiles,
    license: str,
    outputs: int,
    epoch: int | None = None,
) -> str:
    """Return a README.md with its YAML front matter, from templates/card.md.

    Args:
        config: of the run.
        record: its result.json, the source of every number except those measured on a file.
        metadata: of the network.
        files: the files beside the card.
        theirs: the library that opens the folder, and how.
        license: an identifier that the Hub knows, or "unknown".
        outputs: width of the network's output: 1 where it is the log-odds of the second of two classes.
        epoch: a kept epoch whose weights were exported; None: the run's result.
    """
    from jinja2 import Environment, PackageLoader  # noqa: PLC0415  (slow import, wanted only here)

    environment = Environment(
        loader=PackageLoader("preceptor.exports"), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {
        "cell": markdown_cell,
        "code": markdown_code,
        "text": markdown,
        "row": lambda cells: f"| {' | '.join(map(markdown_cell, cells))} |",
    }
    scores = _weight_scores(config, record, epoch)
    front = {"library_name": theirs.library, "license": license, **_front(config, record, metadata, scores, theirs)}
    role = "method" if record.kind == "distill" else "objective"
    model_argument, note = _how_to_load(metadata)
    is_measured = any(file.accuracy is not None for file in files)
    programs = (
        next((file for file in files if file.name.endswith(suffix)), None)  # the shortest name of each format
        for suffix in (".onnx", ".pt2")
    )
    is_pair = metadata.vocabulary is not None and metadata.input_shape[0] == len(_TOKEN_ROWS)
    content = {
        "front": yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000),
        "config": config,
        "record": record,
        "metadata": metadata,
        "model": _model_name(config),
        "data": _data_name(config),
        "origin": _origin(config, record),
        "split": scores.split,
        "scores": {
            name: f"{100 * value:.2f} %" if name in _PERCENT else f"{value:.5g}"
            for name, value in scores.values.items()
        },
        "remark": scores.remark,
        "head": ("file", "takes", "returns", *(("accuracy of this very file",) if is_measured else ())),
        "files": [_file_row(metadata, file, outputs, is_measured=is_measured) for file in files],
        "reading": _reading(metadata.preprocessing) if metadata.reads_images else "",
        "classes": first_few(metadata.class_names, 10),
        "library": theirs.library,
        "library_lines": theirs.lines,
        "model_argument": model_argument,
        "note": note,
        "sentences": '["a sentence"], ["its pair"], return_token_type_ids=True' if is_pair else '["a sentence"]',
        "token_rows": _TOKEN_ROWS[: metadata.input_shape[0]],
        "programs": [(file, _dtype(metadata, file)) for file in programs if file is not None],
        "input": INPUT,
        "shape": str((1, *metadata.input_shape)),
        "role": role,
        "method": _method_name(config),
        "hyperparameters": json.dumps({name: value for name, value in config[role].items() if name != "name"}),
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    return environment.get_template("card.md").render(content)


@dataclass(frozen=True, slots=True)
class _Scores:
    """What is known of some weights.

    Attributes:
        split: where they were measured.
        values: the scores by name; empty where they were not measured.
        remark: which weights they are.
    """

    split: str
    values: Mapping[str, float]
    remark: str


def _weight_scores(config: Mapping[str, Any], record: RunRecord, epoch: int | None) -> _Scores:
    """Return the scores of a run's result, or of a kept epoch, which was measured on validation if at all."""
    result, epochs = _weights(config, record), len(record.history)
    test = record.test_name
    if epoch is None or result == _those_of(epoch, epochs):
        where = "" if test == "test" else f" on the data's split {markdown_code(test)}, which serves as test"
        return _Scores(test, record.test, f"Read once, in float32, after training{where}. The weights are {result}.")
    scores: Mapping[str, float] = next((row["validation"] for row in record.history if row["epoch"] == epoch), {})
    kept = f"The weights are {_those_of(epoch, epochs)}, kept during training."
    remark = f"{kept} Test was read for the run's result alone, {result}."
    return _Scores("validation", scores, remark)


def _weights(config: Mapping[str, Any], record: RunRecord) -> str:
    averaging = config["averaging"]["name"]
    if averaging != "none":
        return f"an average over training ({averaging})"
    return _those_of(record.selected_epoch, len(record.history))


def _those_of(epoch: int, epochs: int) -> str:
    return f"those of epoch {epoch} of {epochs}"


def _front(
    config: Mapping[str, Any], record: RunRecord, metadata: ModelMetadata, measured: _Scores, theirs: LibraryFiles
) -> dict[str, Any]:
    source, method = str(config["data"]["name"]).partition(":")[0], _method_name(config)
    kind = "Text" if metadata.vocabulary is not None else "Image" if len(metadata.input_shape) == 3 else "Tabular"
    task = {"type": f"{kind.lower()}-classification", "name": f"{kind} Classification"}
    scores = {name: value for name, value in measured.values.items() if name != "samples"}
    metrics = [{"type": name, "name": f"{measured.split} {name}", "value": value} for name, value in scores.items()]
    data = {"name": _data_name(config), "type": _ON_THE_HUB.get(source, source), "split": measured.split}
    result = {"task": task, "dataset": data, "metrics": metrics}
    has_widget = metadata.reads_images or (metadata.vocabulary is not None and theirs.lines)
    is_student = record.kind == "distill"
    return {
        **({"pipeline_tag": task["type"]} if has_widget else {}),
        "tags": ["preceptor", *(["knowledge-distillation"] if is_student else []), method],
        **({"datasets": [_ON_THE_HUB[source]]} if source in _ON_THE_HUB else {}),
        **({"metrics": ["accuracy"]} if "accuracy" in scores else {}),
        **({"model-index": [{"name": _model_name(config), "results": [result]}]} if scores else {}),
    }


def _origin(config: Mapping[str, Any], record: RunRecord) -> str:
    if record.kind != "distill":
        return f"A teacher, trained by {markdown_code(_method_name(config))}."
    return f"A student of {_teacher(config)}, distilled by {markdown_code(_method_name(config))}."


def _teacher(config: Mapping[str, Any]) -> str:
    """Return who the teacher was: its network and its accuracy, where its run still exists."""
    section = config["teacher"]
    paths = section["path"] if isinstance(section["path"], list) else [section["path"]]
    if section["truth"]:
        return "the true label distribution"
    if config.get("labels") is not None and paths == [None]:
        return f"the labels stored in {markdown_code(Path(config['labels']).name)}"
    return " and ".join(_one_teacher(path, section["model"]) for path in paths)


def _one_teacher(path: str | None, section: str | Mapping[str, Any] | None) -> str:
    model = section["name"] if isinstance(section, Mapping) else section
    if path is None or path.startswith(PYTHON):
        return "a network passed from Python" if model is None else markdown_code(str(model))
    name = markdown_code(Path(path).name)
    try:
        folder = RunFolder(path)
        network, accuracy = folder.read_config()["model"]["name"], folder.read_record().test["accuracy"]
    except UsageError:
        return f"{markdown_code(str(model))} ({name})" if model is not None else name
    return f"{markdown_code(network)} ({name}, test accuracy {100 * accuracy:.2f} %)"


def _file_row(metadata: ModelMetadata, file: HubFile, outputs: int, *, is_measured: bool) -> list[str]:
    """Return the cells of a file: its name, what it takes, what it returns and, where any was measured, its accuracy."""
    own = replace(metadata, normalise=file.normalise, output=file.output)
    width = outputs if file.name.endswith(".safetensors") else len(metadata.class_names)
    cells = [markdown_code(file.name), _takes(own), _returns(own, width)]
    accuracy = "" if file.accuracy is None else f"{100 * file.accuracy:.2f} % of {file.samples:,} test samples"
    return [*cells, accuracy] if is_measured else cells


def _takes(metadata: ModelMetadata) -> str:
    shape = f"[batch, {', '.join(map(str, metadata.input_shape))}]"
    if metadata.vocabulary is not None:
        rows = ", ".join(("token numbers", "their mask", "their sentence")[: metadata.input_shape[0]])
        return f"texts as float32 {shape}: {rows}, of a tokenizer of {metadata.vocabulary.size:,} tokens"
    if metadata.table is not None:
        columns = ", ".join(markdown_code(each["name"]) for each in metadata.table["encoders"])
        return (
            f"float32 {shape}: what `preceptor predict` makes of columns {columns} (`table` in preceptor.json says how)"
        )
    is_pixels = metadata.input_dtype == "uint8"
    if metadata.normalise == "inside":
        return f"uint8 {shape}: pixels 0..255" if is_pixels else f"float32 {shape}: as the data hold them"
    scaled = "pixels / 255" if is_pixels else "inputs"
    mean_of, std_of = metadata.preprocessing.mean, metadata.preprocessing.std
    if not mean_of:
        return f"float32 {shape}: {scaled if is_pixels else 'as the data hold them'}"
    is_short = len(mean_of) <= _FEW
    mean, std = (list(mean_of), list(std_of)) if is_short else ("mean", "std")
    where = "" if is_short else ", mean and std from preceptor.json"
    each = "channel by channel" if len(metadata.input_shape) > 1 else "column by column"
    return f"float32 {shape}, normalised: ({scaled} - {mean}) / {std}, {each}{where}"


def _reading(preprocessing: Preprocessing) -> str:
    """Say how an image file becomes pixels."""
    height, width = preprocessing.size or (0, 0)
    colours = {1: "grey", 3: "RGB"}[preprocessing.channels or 1]
    part = "it" if preprocessing.centre == 1 else f"the centre {preprocessing.centre:g} of its shorter side"
    return (
        f"An image file becomes pixels thus: turned upright as its EXIF orientation says, {colours} of "
        f"{preprocessing.bit_depth} bits a channel, scaled ({preprocessing.interpolation}, antialiased) until {part} just "
        f"covers {height}x{width} (height x width), and cropped to the middle; one of that size already is left as it is. "
        "`preprocessing` in preceptor.json and in each file holds this."
    )


def _returns(metadata: ModelMetadata, outputs: int) -> str:
    if outputs < len(metadata.class_names):
        return f"[batch, {outputs}], the log-odds of {markdown(metadata.class_names[-1])}"
    each = ", each class's own" if metadata.output == "probabilities" and metadata.task == "multilabel" else ""
    return f"{metadata.output} [batch, {outputs}]{each}"


def _dtype(metadata: ModelMetadata, file: HubFile) -> str:
    return "uint8" if file.normalise == "inside" and metadata.input_dtype == "uint8" else "float32"


def _how_to_load(metadata: ModelMetadata) -> tuple[str, str]:
    """Return the argument that `load` needs for a network that its file cannot make, and a comment on what it needs."""
    name = str(metadata.model["name"])
    if name.startswith(PYTHON):
        return (
            ", model=your_network",
            f"  # a torch.nn.Module, made as for training: {terminal(name.removeprefix(PYTHON))}",
        )
    kind, colon, _ = name.partition(":")
    needed = f"preceptor[{_EXTRAS[kind]}]" if kind in _EXTRAS else f"the module {kind}" if colon else None
    argument = f', model="{terminal(name)}"' if loads_code(name) else ""
    return argument, "" if needed is None else f"  # needs {terminal(needed)}"


def _model_name(config: Mapping[str, Any]) -> str:
    """Return the network's name; its type where it was passed as an object, the last component of a folder."""
    name = str(config["model"]["name"])
    if name.startswith(PYTHON):
        return name.rpartition(".")[2]
    return f"hf:{Path(name).name}" if name.startswith("hf:") else name


def _method_name(config: Mapping[str, Any]) -> str:
    section = config.get("method") or config["objective"]
    return str(section["name"] or "+".join(name for name in section if name != "name"))


def _data_name(config: Mapping[str, Any]) -> str:
    """Return the source's name; only the last component of a path, for the rest belongs to the machine."""
    if str(config["data"]["name"]).startswith(PYTHON):
        return "data passed from Python"
    kind, _, path = str(config["data"]["name"]).partition(":")
    return Path(path).name or kind
