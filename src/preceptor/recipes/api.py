"""The verbs of the library, from Python: the same keys as the command line, and objects where it takes names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from pydantic import ValidationError
from torch import nn
from torch.utils.data import Dataset
from typing_extensions import Unpack

from preceptor.assessment import Metrics
from preceptor.data import Data, Pair, from_objects
from preceptor.errors import UsageError
from preceptor.objectives.base import Objective
from preceptor.recipes.agreement import Learned, check_agreement, place_of
from preceptor.recipes.assess import Assessment, Candidate, assess_candidates, load_candidate
from preceptor.recipes.config import DataSection, DistillRecipe, LabelRecipe, TeacherSection, TeachRecipe
from preceptor.recipes.data import load_data
from preceptor.recipes.finish import score
from preceptor.recipes.knobs import explain
from preceptor.recipes.label import Labelled
from preceptor.recipes.label import label as run_label
from preceptor.recipes.networks import (
    PYTHON,
    AnyModel,
    is_run,
    learned_at,
    load_exported,
    load_network,
    load_run_network,
)
from preceptor.recipes.overrides import make_recipe
from preceptor.recipes.progress import show_notes
from preceptor.recipes.result import Result
from preceptor.recipes.run import Given, run
from preceptor.recipes.teachers import load_teachers
from preceptor.runs import RunFolder
from preceptor.training import EngineName, Precision, Sharding, choose_engine

__all__ = ["AnyData", "AnyModel", "Training", "assess", "distill", "evaluate", "label", "load", "teach"]

Settings = Mapping[str, Any]
AnyData = str | Settings | Data | Dataset[Any] | Pair


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
    workers: int


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
    given = _given(data, model, None, objective)
    return replace(run(make_recipe(TeachRecipe, values), given, show=progress), data=given.data)


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
            of `teach`, or any nn.Module that returns logits. It is frozen and in eval mode throughout. The model beside a
            path may be a module: a copy of it gets the weights.
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
    return replace(run(make_recipe(DistillRecipe, sections), given, show=progress), data=given.data)


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


def evaluate(
    path: str | Path,
    *,
    data: AnyData | None = None,
    model: AnyModel | None = None,
    device: str = "auto",
    workers: int = 0,
    progress: bool = True,
) -> Metrics:
    """Return the metrics of a trained network on the test split.

    Args:
        path: a finished run's folder, a `.safetensors` file or a folder for the Hub that `export` wrote.
        data: what to test on; by default the run's own, and needed for what was exported. Of data that have one part only, and
            are not those that the network was trained on, all samples.
        model: as for `load`.
        device: "auto" or a torch device.
        workers: processes that read ahead, where samples are not held in memory.
        progress: show on standard error what is to be known of the data.

    Raises:
        UsageError: when it is missing, unfinished or damaged, or the data have other classes, or other columns of a table.
    """
    place = Path(path)
    if data is None and not is_run(place):
        raise UsageError(f"evaluate: {path} is no run folder that knows its data; say data=...")
    tested = _measured_on(data, [learned_at(place)], RunFolder(place), holds_out=False)
    engine = choose_engine(device, RunFolder(place).read_result()["precision"] if is_run(place) else "auto")
    network = load_network(place, model, tested, key="model")
    if progress and engine.processes.is_first:
        show_notes(tested.notes)
    rows = 256 * engine.processes.count
    return score(engine.place(network), tested.test, tested, engine, rows, workers=workers)[0]


def assess(
    *candidates: str | Path | Settings | Result | nn.Module,
    data: AnyData | None = None,
    against: str | Path | Settings | Result | nn.Module | None = None,
    device: str = "auto",
    workers: int = 0,
    progress: bool = True,
) -> list[Assessment]:
    """Measure how good networks are as teachers, without distilling from them, all on the same data.

    Args:
        candidates: run folders, what `export` wrote, weights files with their network ({"path": "x.pth", "model":
            "wrn_40_2"}), Results, or modules that return logits. The model beside a path may be a module, as for `load`.
        data: what to measure on; by default that of the first candidate, which then must be a run or a Result. Of data that
            have one part only, and are none that a candidate was trained on, all samples but those held out for validation.
        against: a reference whose answers each candidate's are compared with: a student's teacher, say.
        device: "auto" or a torch device.
        workers: as for `evaluate`.
        progress: as for `evaluate`.

    Returns:
        An assessment each, in the order given: validation and test profiles, the temperature that calibrates.

    Raises:
        UsageError: for no candidate, one that cannot be read or has other classes, or data that are not known.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     teacher = teach(data="digits", model="convnet_s", epochs=1, out=f"{folder}/t", progress=False)
        ...     (found,) = assess(teacher, progress=False)
        >>> found.temperature > 0 and found.test.metrics.samples == teacher.metrics.samples
        True
    """
    own = _first_data(candidates) if data is None else None
    data, run_of_data = (own, None) if isinstance(own, Data) else (data, own)
    tested = _measured_on(data, [_learned(candidate) for candidate in candidates], run_of_data, holds_out=True)
    engine = choose_engine(device)
    if progress and engine.processes.is_first:
        show_notes(tested.notes)
    reference = None if against is None else _candidate(against, 0, tested)
    named = [_candidate(candidate, number, tested) for number, candidate in enumerate(candidates, start=1)]
    return assess_candidates(named, tested, engine, against=reference, workers=workers)


def load(path: str | Path, *, model: AnyModel | None = None) -> nn.Module:
    """Return a trained network, a plain nn.Module in eval mode.

    Args:
        path: a finished run's folder, a `.safetensors` file or a folder for the Hub that `export` wrote.
        model: its network, where that was passed from Python and cannot be made from its name: a module like it, of which
            a copy gets the weights, a name PKG.MODULE:FACTORY, or a section with further keys.

    Raises:
        UsageError: when it is missing, unfinished or damaged, or its network is neither known nor given.
    """
    place = Path(path)
    if is_run(place):
        return load_run_network(RunFolder(place), model=model)[0].eval()
    return load_exported(place, model)[0].eval()


def _measured_on(
    data: AnyData | None, known: Sequence[Learned | None], run: RunFolder | None, *, holds_out: bool
) -> Data:
    """Return data to measure networks on.

    Args:
        data: passed or named; None: the run's.
        known: what the networks know of those that they were trained on.
        run: whose data are the default.
        holds_out: whether validation is looked at too; otherwise those samples are test, where that was not cut for training.

    Raises:
        UsageError: for anything wrong with the data.
    """
    if isinstance(data, Data):
        return data
    learned = [each for each in known if each is not None]
    sources = {each.source for each in learned if each.source is not None}
    if data is not None and not (isinstance(data, str) or _is_section(data)):
        return from_objects(data, validation=None if holds_out else 0.0, trained_on=sources)
    assert data is not None or run is not None
    section = _data_section(run.read_config()["data"] if data is None and run is not None else data)
    if not holds_out:
        section = section.model_copy(update={"validation": 0.0, "limit": None, "labelled_fraction": None})
    is_own = data is None or place_of(section.model_dump()) in {each.place for each in learned}
    fit = next((each.table for each in learned if each.table is not None), None)
    return load_data(section, fit=fit, trained_on=None if is_own else sources)


def _learned(candidate: str | Path | Settings | Result | nn.Module) -> Learned | None:
    """Return what a candidate knows of the data that it was trained on."""
    if isinstance(candidate, nn.Module):
        return None
    path = candidate.path if isinstance(candidate, Result) else _read_teacher(candidate, "assess").path
    return learned_at(Path(path)) if isinstance(path, str | Path) else None


def _candidate(given: str | Path | Settings | Result | nn.Module, number: int, data: Data) -> Candidate:
    if isinstance(given, nn.Module):
        return Candidate(f"{type(given).__name__} ({number})" if number else type(given).__name__, given)
    if isinstance(given, Result):
        check_agreement(f"run {given.path}", Learned.of_run(RunFolder(given.path)), data)
        return Candidate(str(given.path), given.model, given.record.get("data_fingerprint"))
    section = _read_teacher(given, "assess")
    if not isinstance(section.path, str):
        raise UsageError(f"assess: a candidate is one network, got path {section.path}")
    return load_candidate(section.path, _module_beside(given) or section.model, data)


def _first_data(candidates: Sequence[str | Path | Settings | Result | nn.Module]) -> Data | RunFolder:
    """Return the data of the first candidate, or its run."""
    if not candidates:
        raise UsageError("assess: no network given")
    first = candidates[0]
    if isinstance(first, Result) and first.data is not None:
        return first.data
    path = first.path if isinstance(first, Result) else first.get("path") if isinstance(first, Mapping) else first
    if not isinstance(path, str | Path) or not Path(path).is_dir() or not is_run(Path(path)):
        raise UsageError("assess: give data=..., for the first network is not a run that knows its own")
    return RunFolder(path)


def _teacher_section(teacher: str | Path | Settings | Result | nn.Module | None) -> dict[str, Any]:
    if teacher is None:
        return {}
    if isinstance(teacher, Result):
        return {"path": str(teacher.path)}
    section = _section("teacher", str(teacher) if isinstance(teacher, Path) else teacher, key="path")
    path, beside = section.get("path"), _module_beside(teacher)
    if isinstance(path, Path | Result):
        section["path"] = str(path.path if isinstance(path, Result) else path)
    elif isinstance(path, list | tuple):
        section["path"] = [str(each) for each in path]
    return section if beside is None else {**section, "model": _section("teacher.model", beside)["name"]}


def _read_teacher(teacher: str | Path | Settings | Result | nn.Module | None, where: str) -> TeacherSection:
    try:
        return TeacherSection.model_validate(_teacher_section(teacher))
    except ValidationError as error:
        raise UsageError(explain(error, TeacherSection, where)) from error


def _module_beside(teacher: object) -> nn.Module | None:
    """Return the module in {"path": RUN, "model": module}."""
    beside = teacher.get("model") if isinstance(teacher, Mapping) else None
    return beside if isinstance(beside, nn.Module) else None


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
    given, beside = None if named else _loaded(data), _module_beside(teacher)
    asked = teacher.model if isinstance(teacher, Result) else teacher if isinstance(teacher, nn.Module) else None
    if beside is not None:
        section = _read_teacher(teacher, "teacher")
        (asked,) = load_teachers(section, given or _loaded(data), model=beside)
    return Given(
        data=given,
        model=model if isinstance(model, nn.Module) else None,
        teacher=asked,
        objective=objective if isinstance(objective, Objective) else None,
    )


def _loaded(data: AnyData) -> Data:
    if isinstance(data, Data):
        return data
    if isinstance(data, str) or _is_section(data):
        return load_data(_data_section(data))
    return from_objects(data)


def _data_section(data: object) -> DataSection:
    section = DataSection.model_validate(_section("data", data))
    if section.name.startswith(PYTHON):
        raise UsageError(f"data: {section.name} was passed as a Python object; pass it again as data=...")
    return section
