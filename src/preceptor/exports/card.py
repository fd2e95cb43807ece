"""The model card of an exported student: what it is, what it scored and where that came from, in the Hub's format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from preceptor.errors import UsageError
from preceptor.models import Passport
from preceptor.recipes.networks import WEIGHTS
from preceptor.runs import RunFolder

__all__ = ["hub_config", "model_card"]

_SHOWN = {"accuracy", "top5"}  # in percent


def hub_config(passport: Passport) -> str:
    """Return config.json: the passport, under the name of the library that reads it."""
    return json.dumps({"library_name": "preceptor", **passport.as_dict()}, indent=1) + "\n"


def model_card(
    config: Mapping[str, Any],
    record: Mapping[str, Any],
    passport: Passport,
    files: Sequence[str],
    *,
    licence: str,
    epoch: int | None = None,
) -> str:
    """Return a README.md with its YAML front matter.

    Args:
        config: of the run.
        record: its result.json: every number is from there.
        passport: of the network.
        files: that lie beside the card.
        licence: an identifier that the Hub knows, or "unknown".
        epoch: a kept one whose weights it tells of, instead of the result's.
    """
    model, measured = str(config["model"]["name"]), _measured(config, record, epoch)
    front = yaml.safe_dump(
        _front(config, record, passport, licence, measured), sort_keys=False, allow_unicode=True, width=1000
    )
    rows = [(name, _number(name, value)) for name, value in measured.scores.items()]
    parts = [
        f"---\n{front}---\n\n# {model} on {_data_name(config)}\n",
        _origin(config, record),
        *([_table((f"{measured.split} metric", "value"), rows)] if rows else []),
        f"{measured.words} {record['parameters']:,} parameters.\n",
        f"## Use\n\n```python\n{_usage(passport)}```\n\n{_inputs(passport)}\n",
        "## Where it comes from\n",
        _table(("", ""), _provenance(config, record)),
        "## Files\n",
        "".join(f"- `{name}`\n" for name in files),
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
    result, epochs = _weights(config, record), len(record["history"])
    if epoch is None or result == _those_of(epoch, epochs):
        return _Measured("test", record["test"], f"Read once, after training. The weights are {result}.")
    scores: Mapping[str, float] = next((row["validation"] for row in record["history"] if row["epoch"] == epoch), {})
    words = f"The weights are {_those_of(epoch, epochs)}, kept on the way. Test was read for the run's result alone, {result}."
    return _Measured("validation", scores, words)


def _front(
    config: Mapping[str, Any], record: Mapping[str, Any], passport: Passport, licence: str, measured: _Measured
) -> dict[str, Any]:
    data, method, task = _data_name(config), _method_name(config), _task(passport)
    scores = {name: value for name, value in measured.scores.items() if name != "samples"}
    metrics = [{"type": name, "name": f"{measured.split} {name}", "value": value} for name, value in scores.items()]
    result = {"task": task, "dataset": {"name": data, "type": data, "split": measured.split}, "metrics": metrics}
    is_student = record["kind"] == "distill"
    return {
        "library_name": "preceptor",
        "license": licence,
        "pipeline_tag": task["type"],
        "tags": ["preceptor", *(["knowledge-distillation"] if is_student else []), method],
        "datasets": [data],
        "metrics": ["accuracy"],
        **({"model-index": [{"name": str(config["model"]["name"]), "results": [result]}]} if scores else {}),
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


def _one_teacher(path: str | None, model: str | None) -> str:
    if path is None:
        return "a network passed from Python"
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
    knobs = json.dumps({name: value for name, value in config[key].items() if name != "name"})
    return [
        ("data", f"{_data_name(config)}, fingerprint {record['data_fingerprint']}"),
        *([("true label distribution", f"fingerprint {truth}")] if truth else []),
        *([("teacher's fingerprint", str(record["teacher_fingerprint"]))] if record["teacher_fingerprint"] else []),
        (key, f"{_method_name(config)} `{knobs}`"),
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


def _task(passport: Passport) -> dict[str, str]:
    """Return what the Hub calls the kind of task, by what the network reads."""
    kind = "Text" if passport.vocabulary is not None else "Image" if len(passport.input_shape) == 3 else "Tabular"
    return {"type": f"{kind.lower()}-classification", "name": f"{kind} Classification"}


def _usage(passport: Passport) -> str:
    asked = 'predictions = preceptor.predict("FOLDER", "image.png", top=3)\n' if passport.input_dtype == "uint8" else ""
    return (
        "import preceptor\n\n"
        f'network = preceptor.load("FOLDER")  # logits [batch, {len(passport.class_names)}]\n{asked}'
    )


def _inputs(passport: Passport) -> str:
    shape = ", ".join(map(str, passport.input_shape))
    scale = "pixels / 255" if passport.input_dtype == "uint8" else "the inputs as they are"
    how = f"({scale} - {list(passport.mean)}) / {list(passport.std)}, channel by channel" if passport.mean else scale
    classes = ", ".join(passport.class_names[:10]) + (", ..." if len(passport.class_names) > 10 else "")
    if passport.vocabulary is not None:
        rows = ", ".join(("token numbers", "their mask", "their sentence")[: passport.input_shape[0]])
        takes = f"texts as float32 [batch, {shape}]: {rows}, of a tokenizer of {passport.vocabulary.size:,} tokens"
    else:
        takes = f"float32 [batch, {shape}], normalised: {how}"
    if passport.table is not None:
        columns = ", ".join(f"`{each['name']}`" for each in passport.table["encoders"])
        takes += f"; `preceptor predict` makes that of a table's columns {columns} (`table` in config.json says how)"
    return f"`{WEIGHTS}` takes {takes}. Classes, in order: {classes}."


def _method_name(config: Mapping[str, Any]) -> str:
    section = config.get("method") or config["objective"]
    return str(section["name"] or "+".join(name for name in section if name != "name"))


def _data_name(config: Mapping[str, Any]) -> str:
    """Return the source's name; of a folder or file its last part, for the rest is of the machine it lay on."""
    kind, _, path = str(config["data"]["name"]).partition(":")
    return Path(path).name or kind


def _number(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name in _SHOWN else f"{value:.5g}"


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows)]
    return "\n".join(lines) + "\n"


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
