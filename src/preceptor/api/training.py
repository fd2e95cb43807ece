"""The verbs of the library, from Python: the same keys as the command line, and objects where it takes names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import Unpack

from preceptor.api.objects import (
    AnyData,
    AnyTeacher,
    Settings,
    is_section,
    loaded,
    module_beside,
    passed_teachers,
    read_teacher,
    section_of,
    teacher_section,
)
from preceptor.api.reporting import draw_run
from preceptor.artifacts.create import AnyModel
from preceptor.artifacts.run_folder import network_of
from preceptor.artifacts.teachers import load_teachers
from preceptor.config.overrides import make_recipe
from preceptor.config.sections import DistillRecipe, LabelRecipe, TeachRecipe
from preceptor.labels import from_array
from preceptor.objectives.base import Objective
from preceptor.runner.label import Labelled
from preceptor.runner.label import label as run_label
from preceptor.runner.load import PythonObjects
from preceptor.runner.progress import show_notes
from preceptor.runner.result import Result
from preceptor.runner.run import run
from preceptor.training.settings import EngineName, Precision
from preceptor.types import Sharding, TrackerName

__all__ = ["Training", "distill", "label", "teach"]


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
    weights_key: str
    accumulate: int
    clip_norm: float
    stop_at: Literal["last", "best_val_accuracy", "best_val_nll", "best_val_brier"] | int
    stop_mode: Literal["truncate", "rescaled_schedule"]
    device: str
    engine: EngineName
    graph: bool
    precision: Precision
    deterministic: bool
    checkpoint_every_steps: int
    keep_every: int
    sharding: Sharding
    workers: int
    resume: bool
    overwrite: bool
    track: TrackerName | Sequence[TrackerName]


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
        out: the run folder; by default below runs/, with a name made of the choices.
        progress: show progress on standard error.
        training: any key of `Training`, as on the command line: epochs, batch_size, seed, optim, schedule, ...

    Raises:
        UsageError: for anything wrong with the arguments, named in one line.
        RunError: when the run has to stop: a loss that is not finite, a full disk.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     teacher = teach(data="digits", model="convnet_s", epochs=1, out=f"{folder}/t", progress=False)
        >>> 0 <= teacher.metrics.accuracy <= 1
        True
    """
    values = {**_sections(data, model, training, out), "objective": section_of("objective", objective)}
    objects = _objects(data, model=model, objective=objective)
    return _ended(run(make_recipe(TeachRecipe, values), objects, show=progress), objects, show=progress)


def distill(
    *,
    data: AnyData,
    model: AnyModel,
    teacher: AnyTeacher | None = None,
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
        teacher: a run folder, an exported file (`.safetensors`) or Hub folder, a weights file with its network
            ({"path": "x.pth", "model": "wrn_40_2"}), a network that comes with weights ({"model": "hf:PLACE"}), the Result
            of `teach`, any nn.Module that returns logits, or a list of several. For methods that learn from logits also an
            `.onnx` file, a fitted estimator with `predict_proba` and `classes_`, or a function of a batch that returns logits,
            a tensor or an array. It is frozen and in eval mode throughout. The
            model beside a path may be a module: a copy of it gets the weights.
        labels: a folder that `label` made, read instead of running a teacher; a teacher beside it is only compared.
        model: the student, as for `teach`.
        method: a name, a section ({"name": "kd", "temperature": 2.0}), or an Objective.
        unlabelled: more samples to learn from, as for `data`: their training split, without its labels.
        out: as for `teach`.
        progress: as for `teach`.
        training: as for `teach`.

    Raises:
        UsageError: for anything wrong with the arguments, named in one line.
        RunError: when the run has to stop: a loss that is not finite, a full disk.
    """
    sections = {
        **_sections(data, model, training, out),
        "teacher": teacher_section(teacher),
        "method": section_of("method", method),
    }
    if labels is not None:
        sections["labels"] = str(labels)
    objects = _objects(data, model=model, teacher=teacher, objective=method, show=progress)
    if unlabelled is not None:
        sections["unlabelled"] = section_of("unlabelled", unlabelled)
        if not (isinstance(unlabelled, str) or is_section(unlabelled)):
            objects = replace(objects, unlabelled=loaded(unlabelled))
    recipe = make_recipe(DistillRecipe, sections, network_of=network_of)
    return _ended(run(recipe, objects, show=progress), objects, show=progress)


def label(
    *,
    data: AnyData,
    teacher: AnyTeacher | None = None,
    predictions: str | Path | Settings | NDArray[Any] | Tensor | None = None,
    out: str | Path,
    progress: bool = True,
    **settings: Unpack[Labelling],
) -> Labelled:
    """Store a teacher's outputs for every training sample in a number of views, for `distill(labels=...)`.

    Args:
        data: as for `teach`.
        teacher: as for `distill`; of several, the mean distribution is stored.
        predictions: in place of a teacher, its predictions: a file (.npy, .npz, .csv, .tsv, .parquet), a section with
            {"path": FILE, "kind": "logits" or "probabilities", "id": COLUMN}, or an array or a tensor [samples, classes].
            Without ids, one row for each sample of the source in its order, or for each training sample.
        out: the folder; one that holds the same labels is continued.
        progress: show progress on standard error.
        settings: any key of `Labelling`, as on the command line.

    Raises:
        UsageError: for anything wrong with the arguments, or a folder that holds other labels: each difference is named.
        RunError: when the disk refuses.
    """
    sections = {"data": section_of("data", data), "teacher": teacher_section(teacher), "out": str(out), **settings}
    section = dict(predictions) if isinstance(predictions, Mapping) else {"path": predictions}
    values = section.pop("path", None)
    is_file = isinstance(values, str | Path)
    sections["predictions"] = {**section, **({"path": str(values)} if is_file else {})}
    passed = None if is_file or values is None else from_array(values)
    recipe = make_recipe(LabelRecipe, sections)
    objects = _objects(data, teacher=teacher, show=progress)
    return run_label(recipe, objects.data, objects.teacher, passed, show=progress)


def _ended(result: Result, objects: PythonObjects, *, show: bool) -> Result:
    draw_run(result.path, show=show)
    return replace(result, data=objects.data)


def _sections(data: AnyData, model: AnyModel, training: Training, out: str | Path | None) -> dict[str, Any]:
    values = {"data": section_of("data", data), "model": section_of("model", model), **training}
    if out is not None:
        values["out"] = str(out)
    start = training.get("start_from")
    if start is not None:
        values["start_from"] = str(start.path if isinstance(start, Result) else start)
    return values


def _objects(
    data: AnyData,
    *,
    model: AnyModel | None = None,
    teacher: AnyTeacher | None = None,
    objective: str | Settings | Objective | None = None,
    show: bool = False,
) -> PythonObjects:
    is_named, beside = isinstance(data, str) or is_section(data), module_beside(teacher)
    samples = None if is_named else loaded(data)
    network = passed_teachers(teacher)
    if beside is not None:
        notes: list[str] = []
        section, data_of = read_teacher(teacher, "teacher"), loaded(data) if samples is None else samples
        (network,) = load_teachers(section, data_of, model=beside, tell=notes.append)
        show_notes(notes if show else ())
    return PythonObjects(
        data=samples,
        model=model if isinstance(model, nn.Module) else None,
        teacher=network,
        objective=objective if isinstance(objective, Objective) else None,
    )
