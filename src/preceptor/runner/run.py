"""A recipe carried out: everything is resolved and checked first, then the folder is claimed, then training starts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from preceptor.artifacts.create import data_spec, make_network
from preceptor.artifacts.labels import open_labels
from preceptor.artifacts.load import load_start
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.protocols import PROTOCOLS, fill, resolved
from preceptor.config.sections import (
    DistillRecipe,
    ModelSection,
    ObjectiveSection,
    Recipe,
    TeacherSection,
    TeachRecipe,
)
from preceptor.config.terms import build_sum, resolve_terms, unlikely
from preceptor.data import Batches, Data, FixedViews, PolicyLoader
from preceptor.distributed import join_processes
from preceptor.errors import RunError, UsageError
from preceptor.objectives.base import Objective
from preceptor.objectives.weighted import Sum
from preceptor.runner.build import RunComponents, assemble, find_teachers
from preceptor.runner.data import load_data
from preceptor.runner.finish import finish, finished, now, score
from preceptor.runner.guard import guarded
from preceptor.runner.loaders import (
    check_rows,
    left_out,
    make_loaders,
    make_policy,
    pool_of,
    region_search,
)
from preceptor.runner.plan import make_plan, make_settings
from preceptor.runner.pretraining import run_stages
from preceptor.runner.progress import Display, TensorBoard, Together, display
from preceptor.runner.result import Result
from preceptor.training import Engine, FitResult, Plan, choose_engine, fit

__all__ = ["PythonObjects", "run"]

_AnyRecipe = TeachRecipe | DistillRecipe


@dataclass(frozen=True, slots=True)
class PythonObjects:
    """What was passed from Python as objects instead of names."""

    data: Data | None = None
    model: nn.Module | None = None
    teacher: nn.Module | None = None
    objective: Objective | None = None
    unlabelled: Data | None = None


def run(
    recipe: _AnyRecipe,
    given: PythonObjects = PythonObjects(),
    *,
    show: bool = True,
    title: str | None = None,
) -> Result:
    """Carry out a recipe and return what came out.

    Args:
        recipe: what to do.
        given: objects that stand in for its names.
        show: whether to show progress.
        title: what the progress is headed with; made of the recipe when not given.

    Raises:
        UsageError: for anything wrong with the recipe, its files or its folder.
        RunError: when the run has to stop: see `fit`.
    """
    folder = _folder(recipe)
    data = given.data or load_data(recipe.data)
    store = None
    if isinstance(recipe, DistillRecipe) and recipe.labels is not None:
        store = open_labels(recipe, recipe.labels, given.teacher, data)
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"view": store.manifest.source.view})})
    recipe = fill(recipe, PROTOCOLS[data.protocol], data)
    _check(recipe, data)
    engine = choose_engine(recipe.device, recipe.precision, recipe.engine, sharding=recipe.sharding)
    assistants: list[str] = []
    if isinstance(recipe, DistillRecipe) and recipe.teacher.assistants:
        recipe, assistants = _train_assistants(recipe, given, show=show)
        given = replace(given, teacher=None)
    recipe, objective = _objective(recipe, given)
    inputs, policy = make_policy(recipe.inputs)
    recipe = recipe.model_copy(update={"inputs": inputs})
    beyond = left_out(objective, policy, is_teacher=isinstance(recipe, TeachRecipe))
    pool = pool_of(recipe, data, _pool(recipe, given))
    check_rows(data, objective, pool, engine.processes)
    torch.manual_seed(recipe.seed)
    loads_weights = recipe.start_from is not None
    model = given.model or make_network(recipe.model, data_spec(data), loads_weights=loads_weights)
    start = None if recipe.start_from is None else load_start(model, Path(recipe.start_from), data)
    staff = find_teachers(recipe, given.teacher, store, data)
    show = show and engine.processes.is_first
    with display(title or _title(recipe), show=show) as shown, folder, _own_record(folder, engine, recipe) as record:
        engine = replace(engine, tell=shown.note)
        rows = policy.rows(resolved(recipe.batch_size, "batch_size"))
        parts = assemble(model, objective, staff, recipe, data, engine, pool=pool, rows=rows)
        engine = parts.engine
        odd = unlikely(objective, has_teacher=isinstance(recipe, DistillRecipe))
        for note in (*data.notes, *beyond, *odd, *parts.notes, f"engine: {engine}"):
            shown.note(note)
        views = None if store is None else FixedViews(store.manifest.source.view_seed, store.views)
        loaders = make_loaders(recipe, data, pool, policy, objective, engine, views)
        plan = make_plan(recipe, policy, has_validation=len(data.validation) > 0)
        config = {"kind": recipe.kind, **recipe.model_dump(mode="json")}
        if engine.processes.is_first:
            folder.claim(config, resume=recipe.resume, overwrite=recipe.overwrite)
        engine.processes.wait()
        if folder.is_finished:
            shown.note(f"{folder.path} is finished; nothing to do")
            parts.learner.network.release()
            return finished(folder, parts.learner.full_network(), data, engine, recipe.workers)
        before, started = staff.fingerprints, now()
        boards = [TensorBoard(record.path / "tensorboard")] if recipe.tensorboard else []
        with Together([shown, *boards]) as callback:
            course = _fit(parts, loaders, recipe, plan, data, engine, folder, record, callback)
        if staff.fingerprints != before:
            raise RunError("the teacher's weights or statistics changed during the run: the result is not valid")
        origin = {
            "teacher_fingerprint": before[-1] if before else None,
            "assistants": assistants,
            "start_fingerprint": start,
        }
        return finish(parts.learner, course, recipe, data, engine, record, started, origin)


def _folder(recipe: _AnyRecipe) -> RunFolder:
    """Return the run's folder, once it is clear that it can be had: before anything that takes time."""
    folder = RunFolder(recipe.out or _default_out(recipe))
    folder.check(resume=recipe.resume, overwrite=recipe.overwrite)
    join_processes().wait()  # so that nobody looks once the first has claimed it
    return folder


def _check(recipe: _AnyRecipe, data: Data) -> None:
    """Check what sections say of one another."""
    if recipe.sharding == "teacher" and isinstance(recipe, TeachRecipe):
        raise UsageError("sharding: teacher is the network that a run asks, and teach asks none; sharding=all")
    if data.task == "multilabel" and recipe.model.logits not in {None, data.num_classes}:
        raise UsageError(f"model.logits: {recipe.model.logits} for {data.num_classes} labels; one a label")


@contextmanager
def _own_record(folder: RunFolder, engine: Engine, recipe: Recipe) -> Iterator[RunFolder]:
    """Give the folder that a process writes to: the run's for the first one, one that is thrown away for the others."""
    if engine.processes.is_first:
        yield folder
        return
    with tempfile.TemporaryDirectory() as passing:
        record = RunFolder(passing)
        if recipe.resume and folder.metrics.exists():
            shutil.copyfile(folder.metrics, record.metrics)  # what the first process goes on from
        yield record


def _objective(recipe: _AnyRecipe, given: PythonObjects) -> tuple[_AnyRecipe, Sum]:
    """Return the recipe with its terms spelled out, and the sum they make."""
    key = "method" if isinstance(recipe, DistillRecipe) else "objective"
    if given.objective is not None:
        whole = given.objective
        return recipe, whole if isinstance(whole, Sum) else Sum(objective=(1.0, whole))
    section = recipe.method if isinstance(recipe, DistillRecipe) else recipe.objective
    terms = resolve_terms(section, key, has_teacher=isinstance(recipe, DistillRecipe))
    spelled = ObjectiveSection(name=section.name, **terms)
    return recipe.model_copy(update={key: spelled}), build_sum(terms)


def _train_assistants(recipe: DistillRecipe, given: PythonObjects, *, show: bool) -> tuple[DistillRecipe, list[str]]:
    """Distil each assistant from the one before it, in folders beside the run's; the last one is the student's teacher."""
    out = recipe.out or _default_out(recipe)
    section, paths = recipe.teacher.model_copy(update={"assistants": ()}), []
    for number, name in enumerate(recipe.teacher.assistants, start=1):
        path = f"{out}-assistant{number}"
        update = {"model": ModelSection(name=name), "teacher": section, "out": path, "start_from": None}
        model_free = replace(given, model=None, teacher=given.teacher if number == 1 else None)
        run(recipe.model_copy(update=update), model_free, show=show, title=f"assistant {name} seed {recipe.seed}")
        section = TeacherSection(path=path)
        paths.append(path)
    return recipe.model_copy(update={"teacher": section}), paths


def _fit(
    parts: RunComponents,
    loaders: tuple[Batches, PolicyLoader],
    recipe: Recipe,
    plan: Plan,
    data: Data,
    engine: Engine,
    folder: RunFolder,
    record: RunFolder,
    callback: Display,
) -> FitResult:
    learner = parts.learner
    settings = make_settings(recipe.optim)
    run_stages(
        parts,
        loader=loaders[0],
        optimizer=settings,
        engine=engine,
        folder=folder,
        record=record,
        callback=callback,
        checkpoint_every_steps=recipe.checkpoint_every_steps,
        resume=recipe.resume,
    )

    def evaluate() -> Mapping[str, float]:
        if len(data.validation) == 0:
            return {}
        rows = 4 * resolved(recipe.batch_size, "batch_size")
        return score(learner.network, data.validation, data, engine, rows, workers=recipe.workers)[0].as_dict()

    return fit(
        learner,
        loader=loaders[1],
        teacher=parts.source,
        optimizer=settings.make(learner),
        plan=plan,
        engine=engine,
        evaluate=guarded(evaluate, learner.objective),
        metrics_log=record,
        callback=callback,
        checkpoints=folder.checkpoints,
        resume=recipe.resume,
        search=region_search(loaders[1], data, plan.epochs),
    )


def _pool(recipe: _AnyRecipe, given: PythonObjects) -> Data | None:
    """Return the data that were passed or named as unlabelled."""
    if given.unlabelled is not None or isinstance(recipe, TeachRecipe) or recipe.unlabelled is None:
        return given.unlabelled
    return load_data(recipe.unlabelled)


def _title(recipe: _AnyRecipe) -> str:
    what = recipe.method.name if isinstance(recipe, DistillRecipe) else recipe.objective.name
    role = "student" if isinstance(recipe, DistillRecipe) else "teacher"
    return f"{role} {str(what).rsplit('.', 1)[-1]} seed {recipe.seed}"


def _default_out(recipe: _AnyRecipe) -> str:
    what = recipe.method.name if isinstance(recipe, DistillRecipe) else recipe.objective.name
    words = [recipe.kind, recipe.data.name, recipe.model.name, str(what), f"seed{recipe.seed}"]
    return "runs/" + "-".join("".join(c if c.isalnum() or c in "_." else "_" for c in word) for word in words)
