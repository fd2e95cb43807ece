"""Trained networks from Python: loaded, tested, and measured as teachers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from preceptor.api.objects import AnyData, AnyTeacher, data_section, is_section, module_beside, read_teacher
from preceptor.artifacts.black_boxes import as_teacher, fitted_to_data
from preceptor.artifacts.classes import select, select_stated
from preceptor.artifacts.compatibility import TrainingDataInfo, check_compatibility, check_test, place_of
from preceptor.artifacts.create import AnyModel, reading_notes
from preceptor.artifacts.identify import is_run, learned_at
from preceptor.artifacts.load import load_exported, load_network, load_run_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.assessment import Metrics
from preceptor.config.trust import check_named, remote_places
from preceptor.data import Data, from_objects
from preceptor.errors import UsageError
from preceptor.models import black_box_in
from preceptor.runner.assess import Assessment, Candidate, assess_candidates, load_candidate
from preceptor.runner.data import load_data
from preceptor.runner.progress import show_notes
from preceptor.runner.result import Result
from preceptor.runner.score import score
from preceptor.training import choose_engine
from preceptor.types import ClassSelection

__all__ = ["assess", "evaluate", "load"]


def evaluate(
    path: str | Path,
    *,
    data: AnyData | None = None,
    model: AnyModel | None = None,
    classes: ClassSelection | list[int] = None,
    weights_key: str | None = None,
    onnx: Mapping[str, Any] | None = None,
    device: str = "auto",
    workers: int = 0,
    progress: bool = True,
) -> Metrics:
    """Return the metrics of a trained network on the test split.

    Args:
        path: a finished run's folder, a `.safetensors` file or a folder for the Hub that `export` wrote, any `.onnx` file.
        data: what to test on; by default the run's own; needed for an exported file. Data without a test split, other than
            those that the network was trained on, are tested on all their samples.
        model: as for `load`; of a weights file, its network.
        classes: which of its outputs are the data's classes, where it has more or calls them otherwise: "match" (by name),
            or the output of each class.
        weights_key: which weights of a checkpoint: the key, or the prefix, that they are under.
        onnx: how an `.onnx` file of another program reads its inputs: {"mean": ..., "std": ..., "scale": 255, "output": ...}.
        device: "auto" or a torch device.
        workers: processes that read ahead, where samples are not in memory.
        progress: show notes on the data on standard error.

    Raises:
        UsageError: when it is missing, unfinished or damaged; when the data have other classes, or other columns of a table;
            when `data` is None and the run's test split has changed.
    """
    place = Path(path)
    if data is None and not is_run(place):
        raise UsageError(f"evaluate: {path} is no run folder that knows its data; say data=...")
    tested = _measured_on(data, [learned_at(place)], RunFolder(place), holds_out=False)
    if data is None:
        check_test("evaluate", RunFolder(place), tested)
    engine = choose_engine(device)
    notes, selection = list(tested.notes), tuple(classes) if isinstance(classes, list) else classes
    reads = None if onnx is None else read_teacher({"path": str(path), "onnx": dict(onnx)}, "evaluate").onnx
    network = load_network(
        place, model, tested, key="model", weights_key=weights_key, tell=notes.append, classes=selection, onnx=reads
    )
    if progress and engine.processes.is_first:
        show_notes((*notes, *(reading_notes("network", [network]) or tested.normalisation_notes)))
    rows = 256 * engine.processes.world_size
    return score(engine.place(network), tested.test, tested, engine, rows, workers=workers)[0]


def assess(
    *candidates: AnyTeacher,
    data: AnyData | None = None,
    against: AnyTeacher | None = None,
    device: str = "auto",
    workers: int = 0,
    progress: bool = True,
) -> list[Assessment]:
    """Measure how good networks are as teachers, without distilling from them, all on the same data.

    Args:
        candidates: run folders, exported files, `.onnx` files, weights files with their network ({"path": "x.pth", "model":
            "wrn_40_2"}), Results, modules or functions that return logits, or estimators with
            `predict_proba`. The model beside a path may be a module, as for `load`;
            "classes" beside it is as for `evaluate`.
        data: what to measure on; by default that of the first candidate, which then must be a run or a Result. Data without
            a test split that no candidate was trained on are measured on all samples but those held out for validation.
        against: a reference whose predictions each candidate's are compared with, e.g. a student's teacher.
        device: "auto" or a torch device.
        workers: as for `evaluate`.
        progress: as for `evaluate`.

    Returns:
        One assessment per candidate, in order: validation and test profiles, the temperature that calibrates.

    Raises:
        UsageError: for no candidate, one that cannot be read or has other classes, or missing data.

    Examples:
        >>> import tempfile
        >>> import preceptor
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     teacher = preceptor.teach(data="digits", model="convnet_s", epochs=1, out=f"{folder}/t", progress=False)
        ...     (assessment,) = assess(teacher, progress=False)
        >>> assessment.temperature > 0 and assessment.test.metrics.samples == teacher.metrics.samples
        True
    """
    own = _first_data(candidates) if data is None else None
    data, run_of_data = (own, None) if isinstance(own, Data) else (data, own)
    tested = _measured_on(data, [_learned(candidate) for candidate in candidates], run_of_data, holds_out=True)
    engine = choose_engine(device)
    reference = None if against is None else _candidate(against, 0, tested)
    named = [_candidate(candidate, number, tested) for number, candidate in enumerate(candidates, start=1)]
    if progress and engine.processes.is_first:
        adapted = reading_notes("", [candidate.network for candidate in named])  # each assessment says so itself
        show_notes(tested.notes if adapted else (*tested.notes, *tested.normalisation_notes))
    return assess_candidates(named, tested, engine, against=reference, workers=workers)


def load(path: str | Path, *, model: AnyModel | None = None) -> nn.Module:
    """Return a trained network, a plain nn.Module in eval mode.

    Args:
        path: a finished run's folder, a `.safetensors` file or a folder for the Hub that `export` wrote.
        model: its network, where that was passed from Python and cannot be made from its name: a module like it, of which
            a copy gets the weights, a name PKG.MODULE:FACTORY, or a section with more keys.

    Raises:
        UsageError: when it is missing, unfinished or damaged, or its network is not known and `model` is None.
    """
    place = Path(path)
    if is_run(place):
        return load_run_network(RunFolder(place), model=model).eval()
    return load_exported(place, model=model).eval()


def _measured_on(
    data: AnyData | None, known: Sequence[TrainingDataInfo | None], run: RunFolder | None, *, holds_out: bool
) -> Data:
    """Return data to measure networks on.

    Args:
        data: an object or a name; None: the run's.
        known: what the networks know of their training data.
        run: whose data are the default.
        holds_out: whether a validation split is needed too; otherwise its samples are tested as well.

    Raises:
        UsageError: for anything wrong with the data.
    """
    if isinstance(data, Data):
        return data
    learned = [each for each in known if each is not None]
    sources = {each.source for each in learned if each.source is not None}
    if data is not None and not (isinstance(data, str) or is_section(data)):
        return from_objects(data, validation=None if holds_out else 0.0, trained_on=sources)
    assert data is not None or run is not None
    section = data_section(run.read_config()["data"] if data is None and run is not None else data)
    if data is None and run is not None:
        check_named([("data", value) for value in remote_places(section).values()], (), f"run {run.path}")
    if not holds_out:
        section = section.model_copy(update={"validation": 0.0, "limit": None, "labelled_fraction": None})
    is_own = data is None or place_of(section.model_dump()) in {each.place for each in learned}
    fit = next((each.table for each in learned if each.table is not None), None)
    seen = None if data is None or not learned else learned[0].preprocessing
    return load_data(section, fit=fit, preprocessing=seen, trained_on=None if is_own else sources)


def _learned(candidate: AnyTeacher) -> TrainingDataInfo | None:
    """Return what a candidate knows of its training data."""
    if as_teacher(candidate) is not None:
        return None
    path = candidate.path if isinstance(candidate, Result) else read_teacher(candidate, "assess").path
    return learned_at(Path(path)) if isinstance(path, str | Path) else None


def _candidate(network: AnyTeacher, number: int, data: Data) -> Candidate:
    passed = as_teacher(network)
    if passed is not None:
        box = black_box_in(passed)
        kind = type(passed).__name__ if box is None else box.name
        name = f"{kind} ({number})" if number else kind
        return Candidate(name, select_stated(f"assess: {name}", fitted_to_data(passed, data), data, None, "classes"))
    if isinstance(network, Result):
        learned = TrainingDataInfo.from_run(RunFolder(network.path))
        order = check_compatibility(f"run {network.path}", learned, data, key="classes")
        model = select(network.model, order, len(learned.class_names), data)
        return Candidate(str(network.path), model, network.record.data_fingerprint)
    section = read_teacher(network, "assess")
    if not isinstance(section.path, str):
        raise UsageError(f"assess: a candidate is one network, got path {section.path}")
    beside = module_beside(network)
    made_of = section.model if beside is None else beside
    return load_candidate(
        section.path, made_of, data, weights_key=section.weights_key, classes=section.classes, onnx=section.onnx
    )


def _first_data(candidates: Sequence[AnyTeacher]) -> Data | RunFolder:
    """Return the data of the first candidate, or its run."""
    if not candidates:
        raise UsageError("assess: no network given")
    first = candidates[0]
    if isinstance(first, Result) and first.data is not None:
        return first.data
    path = first.path if isinstance(first, Result) else first.get("path") if isinstance(first, Mapping) else first
    if isinstance(path, str | Path) and not Path(path).exists():
        raise UsageError(f"assess: {path}: no such run folder or file")
    if not isinstance(path, str | Path) or not Path(path).is_dir() or not is_run(Path(path)):
        raise UsageError("assess: give data=..., for the first network is not a run that knows its own")
    return RunFolder(path)
