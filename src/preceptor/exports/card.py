"""The model card of an exported student: what it is, what it scored and where that came from, in the Hub's format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from preceptor.artifacts.identify import PYTHON
from preceptor.artifacts.run_folder import RunFolder
from preceptor.errors import UsageError
from preceptor.exports.hub import HubFile
from preceptor.exports.onnx import INPUT
from preceptor.models import ModelMetadata

__all__ = ["model_card"]

_SHOWN = {"accuracy", "top5"}  # in percent
_ON_THE_HUB = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}
_EXTRAS = {"timm": "vision", "torchvision": "vision", "hf": "hf"}
_KINDS = ("input_ids", "attention_mask", "token_type_ids")  # the rows of a text
_FEW = 4  # channels whose mean and std the card spells out


def model_card(
    config: Mapping[str, Any],
    record: Mapping[str, Any],
    metadata: ModelMetadata,
    files: Sequence[HubFile],
    *,
    license: str,
    outputs: int,
    epoch: int | None = None,
) -> str:
    """Return a README.md with its YAML front matter.

    Args:
        config: of the run.
        record: its result.json: every number is from there, but for what was measured of a file.
        metadata: of the network.
        files: that lie beside the card.
        license: an identifier that the Hub knows, or "unknown".
        outputs: of the network itself: 1 where it gives the log-odds of the second of two classes.
        epoch: a kept one whose weights it tells of, instead of the result's.
    """
    measured = _measured(config, record, epoch)
    front = yaml.safe_dump(
        _front(config, record, metadata, license, measured), sort_keys=False, allow_unicode=True, width=1000
    )
    rows = [(name, _number(name, value)) for name, value in measured.scores.items()]
    parts = [
        f"---\n{front}---\n\n# {_model_name(config)} on {_data_name(config)}\n",
        _origin(config, record),
        *([_table((f"{measured.split} metric", "value"), rows)] if rows else []),
        f"{measured.words} {record['parameters']:,} parameters.\n",
        "## Files\n",
        _files(metadata, files, outputs),
        f"Classes, in order: {_classes(metadata)}.\n",
        "## Use\n\nFOLDER is this folder, wherever it lies.\n",
        *(f"```python\n{lines}```\n" for lines in _uses(metadata, files)),
        "## Where it comes from\n",
        _table(("", ""), _provenance(config, record)),
    ]
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What is known of some weights.

    Attributes:
        split: where they were measured.
        scores: there; empty where they were not.
        words: on which weights they are.
    """

    split: str
    scores: Mapping[str, float]
    words: str


def _measured(config: Mapping[str, Any], record: Mapping[str, Any], epoch: int | None) -> _Measured:
    """Return what is known of a run's result, or of an epoch that it kept: that was measured on validation, if at all."""
    result, epochs, how = _weights(config, record), len(record["history"]), _precision(record)
    tested = str(record.get("test_name", "test"))
    if epoch is None or result == _those_of(epoch, epochs):
        where = "" if tested == "test" else f" on the data's part `{tested}`, which is the test part"
        return _Measured(tested, record["test"], f"Read once, after training{where}. {how} The weights are {result}.")
    scores: Mapping[str, float] = next((row["validation"] for row in record["history"] if row["epoch"] == epoch), {})
    words = f"The weights are {_those_of(epoch, epochs)}, kept on the way. Test was read for the run's result alone, {result}."
    return _Measured("validation", scores, f"{how} {words}" if scores else words)


def _precision(record: Mapping[str, Any]) -> str:
    if record["precision"] == "fp32":
        return "The run measured it in float32, as the files are."
    return (
        f"The run measured it in {record['precision']}, and the files are float32: their answers, and so their metrics, "
        "may differ a little."
    )


def _front(
    config: Mapping[str, Any], record: Mapping[str, Any], metadata: ModelMetadata, license: str, measured: _Measured
) -> dict[str, Any]:
    kind, method, task = str(config["data"]["name"]).partition(":")[0], _method_name(config), _task(metadata)
    scores = {name: value for name, value in measured.scores.items() if name != "samples"}
    metrics = [{"type": name, "name": f"{measured.split} {name}", "value": value} for name, value in scores.items()]
    data = {"name": _data_name(config), "type": _ON_THE_HUB.get(kind, kind), "split": measured.split}
    result = {"task": task, "dataset": data, "metrics": metrics}
    is_student = record["kind"] == "distill"
    return {
        "library_name": "preceptor",
        "license": license,
        **({"pipeline_tag": task["type"]} if metadata.reads_images else {}),
        "tags": ["preceptor", *(["knowledge-distillation"] if is_student else []), method],
        **({"datasets": [_ON_THE_HUB[kind]]} if kind in _ON_THE_HUB else {}),
        **({"metrics": ["accuracy"]} if "accuracy" in scores else {}),
        **({"model-index": [{"name": _model_name(config), "results": [result]}]} if scores else {}),
    }


def _origin(config: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    if record["kind"] != "distill":
        return f"A teacher, trained by `{_method_name(config)}`.\n"
    return f"A student of {_teacher(config)}, distilled by `{_method_name(config)}`.\n"


def _teacher(config: Mapping[str, Any]) -> str:
    """Return who the teacher was: its network and its accuracy, where its run is still there."""
    section = config["teacher"]
    paths = section["path"] if isinstance(section["path"], list) else [section["path"]]
    if section["truth"]:
        return "the true label distribution"
    if config.get("labels") is not None and paths == [None]:
        return f"the labels stored in `{Path(config['labels']).name}`"
    return " and ".join(_one_teacher(path, section["model"]) for path in paths)


def _one_teacher(path: str | None, section: str | Mapping[str, Any] | None) -> str:
    model = section["name"] if isinstance(section, Mapping) else section
    if path is None or path.startswith(PYTHON):
        return "a network passed from Python" if model is None else f"`{model}`"
    name = Path(path).name
    try:
        folder = RunFolder(path)
        network, accuracy = folder.read_config()["model"]["name"], folder.read_result()["test"]["accuracy"]
    except UsageError:
        return f"`{model}` (`{name}`)" if model is not None else f"`{name}`"
    return f"`{network}` (`{name}`, test accuracy {100 * accuracy:.2f} %)"


def _provenance(config: Mapping[str, Any], record: Mapping[str, Any]) -> list[tuple[str, str]]:
    key = "method" if record["kind"] == "distill" else "objective"
    truth = record.get("truth_fingerprint")
    hyperparameters = json.dumps({name: value for name, value in config[key].items() if name != "name"})
    return [
        ("data", f"{_data_name(config)}, fingerprint {record['data_fingerprint']}"),
        *([("true label distribution", f"fingerprint {truth}")] if truth else []),
        *([("teacher's fingerprint", str(record["teacher_fingerprint"]))] if record["teacher_fingerprint"] else []),
        (key, f"{_method_name(config)} `{hyperparameters}`"),
        ("epochs", str(config["epochs"])),
        ("seed", str(record["seed"])),
        ("command", f"`{record['command']}`"),
        ("versions", ", ".join(f"{name} {version}" for name, version in record["versions"].items())),
        ("commit", str(record["git"] or "not known")),
        ("finished", str(record["finished"])),
    ]


def _weights(config: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    averaging = config["averaging"]["name"]
    if averaging != "none":
        return f"an average over training ({averaging})"
    return _those_of(record["selected_epoch"], len(record["history"]))


def _those_of(epoch: int, epochs: int) -> str:
    return f"those of epoch {epoch} of {epochs}"


def _task(metadata: ModelMetadata) -> dict[str, str]:
    """Return what the Hub calls the kind of task, by what the network reads."""
    kind = "Text" if metadata.vocabulary is not None else "Image" if len(metadata.input_shape) == 3 else "Tabular"
    return {"type": f"{kind.lower()}-classification", "name": f"{kind} Classification"}


def _files(metadata: ModelMetadata, files: Sequence[HubFile], outputs: int) -> str:
    """Return a table of what each file takes and returns."""
    measured = any(file.accuracy is not None for file in files)
    head = ("file", "takes", "returns", *(("accuracy of this very file",) if measured else ()))
    rows = []
    for file in files:
        its = replace(metadata, normalise=file.normalise, output=file.output)
        returns = _returns(its, outputs if file.name.endswith(".safetensors") else len(metadata.class_names))
        found = "" if file.accuracy is None else f"{100 * file.accuracy:.2f} % of {file.samples:,} test samples"
        rows.append((f"`{file.name}`", _takes(its), returns, *((found,) if measured else ())))
    return _table(head, rows)


def _takes(metadata: ModelMetadata) -> str:
    shape = f"[batch, {', '.join(map(str, metadata.input_shape))}]"
    if metadata.vocabulary is not None:
        rows = ", ".join(("token numbers", "their mask", "their sentence")[: metadata.input_shape[0]])
        return f"texts as float32 {shape}: {rows}, of a tokenizer of {metadata.vocabulary.size:,} tokens"
    if metadata.table is not None:
        columns = ", ".join(f"`{each['name']}`" for each in metadata.table["encoders"])
        return f"float32 {shape}: what `preceptor predict` makes of columns {columns} (`table` in config.json says how)"
    is_pixels = metadata.input_dtype == "uint8"
    if metadata.normalise == "inside":
        return f"uint8 {shape}: pixels 0..255" if is_pixels else f"float32 {shape}: as the data hold them"
    scaled = "pixels / 255" if is_pixels else "inputs"
    if not metadata.mean:
        return f"float32 {shape}: {scaled if is_pixels else 'as the data hold them'}"
    is_short = len(metadata.mean) <= _FEW
    mean, std = (list(metadata.mean), list(metadata.std)) if is_short else ("mean", "std")
    where = "" if is_short else ", which stand in config.json"
    each = "channel by channel" if len(metadata.input_shape) > 1 else "column by column"
    return f"float32 {shape}, normalised: ({scaled} - {mean}) / {std}, {each}{where}"


def _returns(metadata: ModelMetadata, outputs: int) -> str:
    if outputs < len(metadata.class_names):
        return f"[batch, {outputs}], the log-odds of {metadata.class_names[-1]}"
    each = ", each class's own" if metadata.output == "probabilities" and metadata.task == "multilabel" else ""
    return f"{metadata.output} [batch, {outputs}]{each}"


def _classes(metadata: ModelMetadata) -> str:
    return ", ".join(metadata.class_names[:10]) + (", ..." if len(metadata.class_names) > 10 else "")


def _uses(metadata: ModelMetadata, files: Sequence[HubFile]) -> list[str]:
    """Return lines of Python that ask the files, for each way of asking that there is."""
    ways = [_by_preceptor(metadata)]
    for suffix, lines in ((".onnx", _by_onnxruntime), (".pt2", _by_torch)):
        first = next((file for file in files if file.name.endswith(suffix)), None)
        if first is not None:
            ways.append(lines(replace(metadata, normalise=first.normalise, output=first.output), first.name))
    return ways


def _by_preceptor(metadata: ModelMetadata) -> str:
    again, note = _made_again(metadata)
    load = f'network = preceptor.load("FOLDER"{again}){note}\n'
    if metadata.reads_images:
        return f'import preceptor\n\n{load}predictions = preceptor.predict("FOLDER", "image.png", top=3{again})\n'
    if metadata.table is not None:
        return f'import preceptor\n\n{load}predictions = preceptor.predict("FOLDER", "table.csv", top=3{again})\n'
    if metadata.vocabulary is None:
        shape = ", ".join(map(str, (1, *metadata.input_shape)))
        return f"import preceptor\nimport torch\n\n{load}outputs = network(torch.zeros({shape}))  # your samples here\n"
    kinds, length = metadata.input_shape
    pairs = kinds == len(_KINDS)
    sentences = '["a sentence"], ["its pair"], return_token_type_ids=True' if pairs else '["a sentence"]'
    return (
        f"import preceptor\nimport torch\nimport transformers\n\n{load}"
        'tokenizer = transformers.AutoTokenizer.from_pretrained("TOKENIZER")  # the one it was trained with\n'
        f'tokens = tokenizer({sentences}, padding="max_length", truncation=True, max_length={length}, return_tensors="pt")\n'
        f"outputs = network(torch.stack([tokens[kind] for kind in {_KINDS[:kinds]}], 1).float())\n"
    )


def _made_again(metadata: ModelMetadata) -> tuple[str, str]:
    """Return what `load` has to be told of a network that its file cannot make, and what that is."""
    name = str(metadata.model["name"])
    if name.startswith(PYTHON):
        return ", model=your_network", f"  # a torch.nn.Module, made as for training: {name.removeprefix(PYTHON)}"
    kind, colon, _ = name.partition(":")
    needed = f"preceptor[{_EXTRAS[kind]}]" if kind in _EXTRAS else f"the module {kind}" if colon else None
    return "", "" if needed is None else f"  # needs {needed}"


def _by_onnxruntime(metadata: ModelMetadata, name: str) -> str:
    dtype = "uint8" if metadata.normalise == "inside" and metadata.input_dtype == "uint8" else "float32"
    return (
        "import numpy\nimport onnxruntime\n\n"
        f'session = onnxruntime.InferenceSession("{name}", providers=["CPUExecutionProvider"])\n'
        f'{INPUT} = numpy.zeros({(1, *metadata.input_shape)}, dtype="{dtype}")  # your samples here\n'
        f'({metadata.output},) = session.run(None, {{"{INPUT}": {INPUT}}})\n'
    )


def _by_torch(metadata: ModelMetadata, name: str) -> str:
    dtype = "uint8" if metadata.normalise == "inside" and metadata.input_dtype == "uint8" else "float32"
    shape = ", ".join(map(str, (1, *metadata.input_shape)))
    return (
        f'import torch\n\nprogram = torch.export.load("{name}").module()\n'
        f"{metadata.output} = program(torch.zeros({shape}, dtype=torch.{dtype}))  # your samples here\n"
    )


def _model_name(config: Mapping[str, Any]) -> str:
    """Return the network's name; of an object its type, of a folder its last part."""
    name = str(config["model"]["name"])
    if name.startswith(PYTHON):
        return name.rpartition(".")[2]
    return f"hf:{Path(name).name}" if name.startswith("hf:") else name


def _method_name(config: Mapping[str, Any]) -> str:
    section = config.get("method") or config["objective"]
    return str(section["name"] or "+".join(name for name in section if name != "name"))


def _data_name(config: Mapping[str, Any]) -> str:
    """Return the source's name; of a folder or file its last part, for the rest is of the machine it lay on."""
    if str(config["data"]["name"]).startswith(PYTHON):
        return "data passed from Python"
    kind, _, path = str(config["data"]["name"]).partition(":")
    return Path(path).name or kind


def _number(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name in _SHOWN else f"{value:.5g}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [_row(head), "|" + "---|" * len(head), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
