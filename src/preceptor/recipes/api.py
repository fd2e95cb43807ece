"""The verbs of the library, from Python: the same keys as the command line, and objects where it takes names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from torch import nn
from torch.utils.data import Dataset
from typing_extensions import Unpack

from preceptor.assessment import Metrics
from preceptor.data import Data, Pair, from_objects
from preceptor.errors import UsageError
from preceptor.objectives.base import Objective
from preceptor.recipes.assess import Assessment, Candidate, assess_candidates, load_candidate
from preceptor.recipes.config import DataSection, DistillRecipe, LabelRecipe, TeacherSection, TeachRecipe
from preceptor.recipes.data import load_data
from preceptor.recipes.finish import score
from preceptor.recipes.label import Labelled
from preceptor.recipes.label import label as run_label
from preceptor.recipes.networks import PYTHON, check_task, is_run, load_exported, load_network, load_run_network
from preceptor.recipes.overrides import make_recipe
from preceptor.recipes.result import Result
from preceptor.recipes.run import Given, run
from preceptor.runs import RunFolder
from preceptor.training import Engine, EngineName, Precision, Sharding, choose_engine

__all__ = ["AnyData", "AnyModel", "Training", "assess", "distill", "evaluate", "label", "load", "teach"]

Settings = Mapping[str, Any]
AnyData = str | Settings | Data | Dataset[Any] | Pair
AnyModel = str | Settings | nn.Module


class Training(TypedDict, total=False):
    """The keys that teachers and students share; `preceptor teach --help` says what each means."""

    epochs: int
    batch_size: int
    seed: int
    inputs: str | Settings
    optim: str | Settings
    schedule: str | Settings
    averaging: str | Settings
    start_from: str | Path | Result
    accumulate: int
    clip_norm: float
    stop_at: Literal["last", "best_val_accuracy", "best_val_nll", "best_val_brier"] | int
    stop_mode: Literal["truncate", "rescaled_schedule"]
    device: str
    engine: EngineName
    precision: Precision
    checkpoint_every_steps: int
    keep_every: int
    sharding: Sharding
    workers: int
    resume: bool
    overwrite: bool
    tensorboard: bool


class Labelling(TypedDict, total=False):
    """The keys of `label`; `preceptor label --help` says what each means."""

    views: int
    seed: int
    dtype: Literal["float16", "int8"]
    top: int
    rows_per_shard: int
    batch_size: int
    device: str
    engine: EngineName
    precision: Precision


def teach(
    *,
    data: AnyData,
    model: AnyModel,
    objective: str | Settings | Objective = "cross_entropy",
    out: str | Path | None = None,
    progress: bool = True,
    **training: Unpack[Training],
) -> Result:
    """Train a teacher and return it with its metrics.

    Args:
        data: a source's name, a section ({"name": "cifar100", "root": ...}), a torch Dataset of (input, label), an
            (inputs, labels) pair of arrays or tensors, or a mapping of "train", "validation" and "test" to these.
        model: a network's name, a section ({"name": "mlp", ...}), or any nn.Module that returns logits
            [batch, classes]; a module of yours is trained in place.
        objective: a name, a section ({"name": "soteacher", "lipschitz": {"weight": 2e-6}}), or an Objective.
        out: the run folder; a name made of the choices, below runs/, when not given.
        progress: show progress on standard error.
        training: any key of `Training`, as on the command line: epochs, batch_size, seed, optim, schedule, ...

    Raises:
        UsageError: for anything wrong with the arguments, named in one line.
        RunError: when the run has to stop: a loss that is not finite, a full disk.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     teacher = teach(data="digits", model="convnet_s", epochs=1, out=f"{folder}/t", progress=False)
        >>> 0 <= teacher.metrics.accuracy <= 1
        True
    """
    values = {**_sections(data, model, training, out), "objective": _section("objective", objective)}
    return run(make_recipe(TeachRecipe, values), _given(data, model, None, objective), show=progress)


def distill(
    *,
    data: AnyData,
    model: AnyModel,
    teacher: str | Path | Settings | Result | nn.Module | None = None,
    labels: str | Path | None = None,
    method: str | Settings | Objective = "kd",
    unlabelled: AnyData | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    **training: Unpack[Training],
) -> Result:
    """Train a student from a teacher and return it with its metrics.

    Args:
        data: as for `teach`.
        teacher: a run folder, what `export` wrote (`.safetensors`, a folder for the Hub), a weights file with its network
            ({"path": "x.pth", "model": "wrn_40_2"}), a network that comes with weights ({"model": "hf:PLACE"}), the Result
            of `teach`, or any nn.Module that returns logits. It is frozen and in eval mode throughout.
        labels: a folder that `label` made, read instead of asking a teacher; a teacher beside it is only compared.
        model: the student, as for `teach`.
        method: a name, a section ({"name": "kd", "temperature": 2.0}), or an Objective.
        unlabelled: samples to learn from beside the data, as for `data`: their training part, without its labels.
        out: as for `teach`.
        progress: as for `teach`.
        training: as for `teach`.

    Raises:
        UsageError: for anything wrong with the arguments, named in one line.
        RunError: when the run has to stop: a loss that is not finite, a full disk.
    """
    sections = {
        **_sections(data, model, training, out),
        "teacher": _teacher_section(teacher),
        "method": _section("method", method),
    }
    if labels is not None:
        sections["labels"] = str(labels)
    given = _given(data, model, teacher, method)
    if unlabelled is not None:
        sections["unlabelled"] = _section("unlabelled", unlabelled)
        if not (isinstance(unlabelled, str) or _is_section(unlabelled)):
            given = replace(given, unlabelled=_loaded(unlabelled))
    return run(make_recipe(DistillRecipe, sections), given, show=progress)


def label(
    *,
    data: AnyData,
    teacher: str | Path | Settings | Result | nn.Module,
    out: str | Path,
    progress: bool = True,
    **settings: Unpack[Labelling],
) -> Labelled:
    """Store what a teacher says of every training sample in a number of views, for `distill(labels=...)`.

    Args:
        data: as for `teach`.
        teacher: as for `distill`; of several, the mean distribution is stored.
        out: the folder; one that holds the same labels is gone on with.
        progress: show progress on standard error.
        settings: any key of `Labelling`, as on the command line.

    Raises:
        UsageError: for anything wrong with the arguments, or a folder that holds other labels: each difference is named.
        RunError: when the disk refuses.
    """
    sections = {"data": _section("data", data), "teacher": _teacher_section(teacher), "out": str(out), **settings}
    given = _given(data, "", teacher, "")
    return run_label(make_recipe(LabelRecipe, sections), given.data, given.teacher, show=progress)


def evaluate(path: str | Path, *, data: AnyData | None = None, device: str = "auto", workers: int = 0) -> Metrics:
    """Return the metrics of a trained network on the test split.

    Args:
        path: a finished run's folder, a `.safetensors` file or a folder for the Hub that `export` wrote.
        data: what to test on; by default the run's own, and needed for what was exported.
        device: "auto" or a torch device.
        workers: processes that read ahead, where samples are not held in memory.

    Raises:
        UsageError: when it is missing, unfinished or damaged, or the data have other classes.
    """
    folder = RunFolder(path)
    given = None if data is None else _loaded(data)
    if not is_run(folder.path):
        return _evaluate_exported(folder.path, given, device, workers)
    network, num_classes = load_run_network(folder, data=given)
    tested = given or _loaded(folder.read_config()["data"])
    if tested.num_classes != num_classes:
        raise UsageError(f"run {path} has {num_classes} classes, data {tested.name} has {tested.num_classes}")
    check_task(f"run {path}", folder.read_result().get("task", "multiclass"), tested)
    return _tested(network, tested, choose_engine(device, folder.read_result()["precision"]), workers)


def assess(
    *candidates: str | Path | Settings | Result | nn.Module,
    data: AnyData | None = None,
    against: str | Path | Settings | Result | nn.Module | None = None,
    device: str = "auto",
    workers: int = 0,
) -> list[Assessment]:
    """Measure how good networks are as teachers, without distilling from them, all on the same data.

    Args:
        candidates: run folders, what `export` wrote, weights files with their network ({"path": "x.pth", "model":
            "wrn_40_2"}), Results, or modules that return logits.
        data: what to measure on; by default that of the first candidate, which then must be a run.
        against: a reference whose answers each candidate's are compared with: a student's teacher, say.
        device: "auto" or a torch device.
        workers: as for `evaluate`.

    Returns:
        An assessment each, in the order given: validation and test profiles, the temperature that calibrates.

    Raises:
        UsageError: for no candidate, one that cannot be read or has other classes, or data that are not known.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     teacher = teach(data="digits", model="convnet_s", epochs=1, out=f"{folder}/t", progress=False)
        ...     (found,) = assess(teacher)
        >>> found.temperature > 0 and found.test.metrics.samples == teacher.metrics.samples
        True
    """
    tested = _loaded(_data_of(candidates) if data is None else data)
    engine = choose_engine(device)
    reference = None if against is None else _candidate(against, 0, tested)
    named = [_candidate(candidate, number, tested) for number, candidate in enumerate(candidates, start=1)]
    return assess_candidates(named, tested, engine, against=reference, workers=workers)


def load(path: str | Path) -> nn.Module:
    """Return a trained network, a plain nn.Module in eval mode.

    Args:
        path: a finished run's folder, a `.safetensors` file or a folder for the Hub that `export` wrote.

    Raises:
        UsageError: when it is missing, unfinished or damaged, or its network came from Python.
    """
    place = Path(path)
    network, _ = load_run_network(RunFolder(place)) if is_run(place) else load_exported(place)
    return network.eval()


def _evaluate_exported(path: Path, data: Data | None, device: str, workers: int) -> Metrics:
    if data is None:
        raise UsageError(f"evaluate: {path} is no run folder that knows its data; say data=...")
    return _tested(load_network(path, None, data, key="model"), data, choose_engine(device), workers)


def _tested(network: nn.Module, data: Data, engine: Engine, workers: int) -> Metrics:
    return score(engine.place(network), data.test, data, engine, 256 * engine.processes.count, workers=workers)[0]


def _candidate(given: str | Path | Settings | Result | nn.Module, number: int, data: Data) -> Candidate:
    if isinstance(given, nn.Module):
        return Candidate(f"{type(given).__name__} ({number})" if number else type(given).__name__, given)
    if isinstance(given, Result):
        return Candidate(str(given.path), given.model, given.record.get("data_fingerprint"))
    section = TeacherSection.model_validate(
        _section("candidate", str(given) if isinstance(given, Path) else given, key="path")
    )
    assert isinstance(section.path, str)
    return load_candidate(section.path, section.model, data)


def _data_of(candidates: Sequence[str | Path | Settings | Result | nn.Module]) -> Settings:
    """Return the data section of the first candidate's run."""
    if not candidates:
        raise UsageError("assess: no network given")
    first = candidates[0]
    path = first.path if isinstance(first, Result) else first.get("path") if isinstance(first, Mapping) else first
    if not isinstance(path, str | Path) or not Path(path).is_dir() or not is_run(Path(path)):
        raise UsageError("assess: give data=..., for the first network is not a run that knows its own")
    section: Settings = RunFolder(path).read_config()["data"]
    return section


def _teacher_section(teacher: str | Path | Settings | Result | nn.Module | None) -> dict[str, Any]:
    if teacher is None:
        return {}
    if isinstance(teacher, Result):
        return {"path": str(teacher.path)}
    return _section("teacher", str(teacher) if isinstance(teacher, Path) else teacher, key="path")


def _sections(data: AnyData, model: AnyModel, training: Training, out: str | Path | None) -> dict[str, Any]:
    values = {"data": _section("data", data), "model": _section("model", model), **training}
    if out is not None:
        values["out"] = str(out)
    start = training.get("start_from")
    if start is not None:
        values["start_from"] = str(start.path if isinstance(start, Result) else start)
    return values


def _section(role: str, value: object, key: str = "name") -> dict[str, Any]:
    """Return a configuration section for a name, a section, or an object (which is recorded by its type)."""
    if isinstance(value, type):
        raise UsageError(f"{role}: {value.__name__} is a class, expected an object of it: {value.__name__}(...)")
    if isinstance(value, str):
        return {key: value}
    if isinstance(value, Mapping) and _is_section(value, key):
        return dict(value)
    return {key: f"{PYTHON}{type(value).__module__}.{type(value).__qualname__}"}


def _is_section(value: object, key: str = "name") -> bool:
    return isinstance(value, Mapping) and (key in value or not {"train", "test"} & set(value))


def _given(
    data: AnyData,
    model: AnyModel,
    teacher: str | Path | Settings | Result | nn.Module | None,
    objective: str | Settings | Objective,
) -> Given:
    named = isinstance(data, str) or _is_section(data)
    return Given(
        data=None if named else _loaded(data),
        model=model if isinstance(model, nn.Module) else None,
        teacher=teacher.model if isinstance(teacher, Result) else teacher if isinstance(teacher, nn.Module) else None,
        objective=objective if isinstance(objective, Objective) else None,
    )


def _loaded(data: AnyData) -> Data:
    if isinstance(data, Data):
        return data
    if isinstance(data, str) or _is_section(data):
        section = DataSection.model_validate(_section("data", data))
        if section.name.startswith(PYTHON):
            raise UsageError(f"data: {section.name} was passed as a Python object; pass it again as data=...")
        return load_data(section)
    return from_objects(data)
