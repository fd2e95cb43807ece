"""A recipe carried out: everything is resolved and checked first, then the folder is claimed, then training starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from preceptor.artifacts.classes import order_classifier, write_names
from preceptor.artifacts.create import data_spec, make_network
from preceptor.artifacts.load import load_start
from preceptor.artifacts.metrics_log import MetricsLog
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.resolve import ResolvedRecipe, resolve
from preceptor.config.sections import AnyRecipe, ModelSection, TeacherSection
from preceptor.config.terms import name_of
from preceptor.config.trust import loads_code
from preceptor.data import Data, check_views
from preceptor.distributed import join_processes
from preceptor.errors import RunError, UsageError
from preceptor.runner.banner import banner, throughput_unit
from preceptor.runner.build import RunComponents, build
from preceptor.runner.finish import Origin, finish, now, reopen
from preceptor.runner.guard import guarded
from preceptor.runner.identity import check_finished, config_of, fingerprints_of, identity_of
from preceptor.runner.load import NO_OBJECTS, LoadedInputs, PythonObjects, check_rows, load_inputs
from preceptor.runner.loaders import make_loaders
from preceptor.runner.memory import memory_told
from preceptor.runner.passed import check_apart, frozen_note, left_as_passed
from preceptor.runner.pretraining import pretrain
from preceptor.runner.progress import Display, choose_display
from preceptor.runner.result import Result
from preceptor.runner.score import score
from preceptor.runner.teacher_check import measure_teachers
from preceptor.runner.teachers import find_teachers
from preceptor.runner.trackers import Tracking, check_trackers, make_tracking
from preceptor.training import Callback, FitResult, RunFiles, TrainState, choose_engine, fit, make_optimizer, restore
from preceptor.training.callbacks import FaintTerms, NearChance, RegionSearches, SlowFirstStep
from preceptor.training.determinism import deterministic_operations

__all__ = ["run"]

_LONGEST_NAME = 200  # file systems take 255 bytes; "-assistant1" may follow


def run(
    recipe: AnyRecipe,
    objects: PythonObjects = NO_OBJECTS,
    *,
    show: bool = True,
    title: str | None = None,
    brief: bool = False,
) -> Result:
    """Carry out a recipe.

    Args:
        recipe: what to do.
        objects: stand in for its names.
        show: whether to show progress.
        title: of the progress; made of the recipe by default.
        brief: whether the run is one of many, of which only the bar or the last epoch is shown.

    Raises:
        UsageError: for an invalid recipe, or files or a folder that cannot be used.
        RunError: when the run has to stop: see `fit`; or when memory runs out.
    """
    recipe = recipe.model_copy(update={"out": recipe.out or _default_out(recipe)})
    folder = RunFolder(str(recipe.out))
    folder.check(resume=recipe.resume, overwrite=recipe.overwrite)
    check_trackers(recipe.track)
    join_processes().wait()  # every process checks before the first one claims it
    recipe, objects, assistants = _distil_assistants(recipe, objects, show=show)
    inputs = load_inputs(recipe, objects)
    view = None if inputs.store is None else inputs.store.manifest.source.view
    resolved = resolve(recipe, inputs.data, objective=objects.objective, view=view)
    engine = choose_engine(
        recipe.device,
        recipe.precision,
        recipe.engine,
        sharding=recipe.sharding,
        graph=recipe.graph,
        deterministic=recipe.deterministic,
    )
    show = show and engine.processes.is_first
    check_apart(objects.teacher, objects.model)
    check_views(inputs.data.train, resolved.view)
    unit = throughput_unit(inputs.data)
    display = choose_display(title or _title(recipe), unit=unit, show=show, brief=brief)
    tracking = make_tracking(recipe.track if engine.processes.is_first else (), display.note)
    with (
        display,
        folder,
        tracking,
        left_as_passed(objects.teacher),
        memory_told(engine.device),
        deterministic_operations(engine),
    ):
        engine = replace(engine, tell=display.note)
        check_rows(inputs, resolved.objective, engine.processes)
        model, start = _student(resolved, inputs.data, objects.model, display.note)
        teachers = find_teachers(resolved, inputs, objects.teacher, engine, display.note)
        made_from = fingerprints_of(inputs, teachers, start)
        if recipe.resume and folder.is_finished:
            check_finished(folder, resolved, made_from)
            display.note(f"{folder.path} is finished; nothing to do")
            network = recipe.model if objects.model is None else objects.model
            return reopen(folder, network, inputs.data, engine, recipe.workers)
        frozen = frozen_note(model)
        components = build(resolved, inputs, model, teachers, engine)
        checks = measure_teachers(teachers, inputs, components.engine, resolved.student_inputs.teacher)
        if show and not brief:
            for line in banner(resolved, inputs.data, components, teachers, checks):
                display.say(line)
        data_notes = (*inputs.data.notes, *inputs.data.normalisation_notes)
        warnings = [line for check in checks for line in check.warnings]
        for note in (*data_notes, *resolved.notes, *components.notes, *frozen, *warnings):
            display.note(note)
        origin = Origin(now(), made_from, assistants, [*teachers.networks] * teachers.passes)
        identity = identity_of(resolved, made_from)
        log, fitted = _fit(components, resolved, inputs, folder, identity, (display, tracking))
        if teachers.fingerprint != made_from["teacher"]:
            raise RunError("the teacher's weights or statistics changed during the run: the result is not valid")
        result = finish(components.learner, fitted, resolved, inputs.data, components.engine, folder, log, origin)
        tracking.finish(result.record.test, log.rows()[-1]["epoch"], (folder.config, folder.result))
        return result


def _student(
    resolved: ResolvedRecipe, data: Data, passed: nn.Module | None, tell: Callable[[str], None]
) -> tuple[nn.Module, str | None]:
    """Return the network that is trained, and the fingerprint of the weights it starts from, if those are named."""
    recipe, start = resolved.stated, resolved.stated.start_from
    if recipe.weights_key is not None and start is None:
        raise UsageError(f"weights_key: {recipe.weights_key} chooses from a checkpoint; name it: start_from=FILE")
    torch.manual_seed(recipe.seed)
    model = passed
    if model is None:
        model = make_network(recipe.model, data_spec(data), loads_weights=start is not None)
    found = None
    if start is None:
        for note in order_classifier(model, data):
            tell(note)
    else:
        found = load_start(model, Path(start), data, weights_key=recipe.weights_key, tell=tell)
    write_names(model, data.class_names)
    return model, found


def _fit(
    components: RunComponents,
    resolved: ResolvedRecipe,
    inputs: LoadedInputs,
    folder: RunFolder,
    identity: Mapping[str, Any],
    told: tuple[Display, Tracking],
) -> tuple[MetricsLog, FitResult]:
    """Claim the folder, and train: first what methods need before the run, then the run."""
    recipe, plan, data = resolved.stated, resolved.plan, inputs.data
    learner, engine = components.learner, components.engine
    display, tracking = told
    samples, batches = make_loaders(resolved, inputs, engine)
    if engine.processes.is_first:
        folder.claim(config_of(resolved), resume=recipe.resume, overwrite=recipe.overwrite)
    tracking.start(folder.path, config_of(resolved))
    engine.processes.wait()
    engine.processes.seed(recipe.seed)
    log = folder.metrics_log(writes=engine.processes.is_first)
    files = RunFiles(folder.checkpoints, log, identity)
    callbacks: list[Callback] = [display, NearChance(display.note), FaintTerms(display.note)]
    if engine.compiles:
        callbacks.insert(1, SlowFirstStep(display.note))
    pretrain(components, samples, resolved, folder, identity, callbacks, display.note)
    callbacks.append(tracking)  # of the run itself, not of stages before it
    search = resolved.policy.region_search(batches, data.input_shape, plan.epochs)
    if search is not None and components.teacher is not None:
        callbacks.append(RegionSearches(search, components.teacher, engine, display.note))

    def evaluate() -> Mapping[str, float]:
        folder.check_kept()  # before the epoch is written down
        if len(data.validation) == 0:
            return {}
        rows = 4 * resolved.batch_size
        return score(learner.network, data.validation, data, engine, rows, workers=recipe.workers)[0].as_dict()

    guard = guarded(evaluate, learner.objective)
    optimizer = make_optimizer(recipe.optim, learner, engine.loss_scaler())
    state = TrainState(learner, optimizer, plan, batches.num_batches, engine.processes)
    if recipe.resume:
        restore(state, files, callbacks, display.note)
        if state.progress.step:
            display.say(f"resumed at epoch {state.progress.epoch}, step {state.progress.step}")
    fitted = fit(state, batches, components.teacher, plan, engine, evaluate=guard, files=files, callbacks=callbacks)
    return log, fitted


def _distil_assistants(
    recipe: AnyRecipe, objects: PythonObjects, *, show: bool
) -> tuple[AnyRecipe, PythonObjects, list[str]]:
    """Distil each teacher assistant from the one before it, in folders beside the run's; the student learns from the last."""
    teacher = recipe.student_inputs.teacher
    if not teacher.assistants:
        return recipe, objects, []
    section, paths = teacher.model_copy(update={"assistants": ()}), []
    for number, name in enumerate(teacher.assistants, start=1):
        path = f"{recipe.out}-assistant{number}"
        update = {
            "model": ModelSection(name=name),
            "teacher": section,
            "out": path,
            "start_from": None,
            "weights_key": None,
        }
        own = replace(objects, model=None, teacher=objects.teacher if number == 1 else None)
        run(recipe.model_copy(update=update), own, show=show, title=f"assistant {name} seed {recipe.seed}")
        section = TeacherSection(path=path, model=name if loads_code(name) else None)
        paths.append(path)
    return recipe.model_copy(update={"teacher": section}), replace(objects, teacher=None), paths


def _title(recipe: AnyRecipe) -> str:
    return f"{recipe.role} {name_of(recipe.terms).rsplit('.', 1)[-1]} seed {recipe.seed}"


def _default_out(recipe: AnyRecipe) -> str:
    words = [recipe.kind, recipe.data.name, recipe.model.name, name_of(recipe.terms), f"seed{recipe.seed}"]
    name = "-".join("".join(c if c.isascii() and (c.isalnum() or c in "_.+") else "_" for c in word) for word in words)
    if len(name) > _LONGEST_NAME:  # of a long path, say; what is cut off still tells two runs apart
        name = f"{name[:_LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return f"runs/{name}"
