"""The first lines of a run: what it reads, trains, learns from and minimises, how, where, and where to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from preceptor.artifacts.identify import PYTHON
from preceptor.artifacts.run_folder import network_of
from preceptor.config.resolve import ResolvedRecipe
from preceptor.config.sections import ModelSection, TeacherSection
from preceptor.data import Data, PlainInputs
from preceptor.messages import as_bytes, as_count, first_few
from preceptor.models import black_box_in
from preceptor.objectives.schedules import SCHEDULES, Schedule, Weight
from preceptor.runner.build import RunComponents
from preceptor.runner.teacher_check import TeacherCheck
from preceptor.runner.teachers import TeacherSet
from preceptor.training import forward_flops

__all__ = ["banner", "shown_name", "throughput_unit"]

_HYPERPARAMETERS = 2  # of a term that are shown; config.yaml holds all
_LABEL = 11  # width of the first column


def banner(
    resolved: ResolvedRecipe,
    data: Data,
    components: RunComponents,
    teachers: TeacherSet,
    checks: Sequence[TeacherCheck],
) -> tuple[str, ...]:
    """Return at most eight lines that say what a run does.

    Args:
        resolved: the recipe.
        data: of the run.
        components: with the network that is trained, on its device.
        teachers: of the run.
        checks: what each of them is worth.
    """
    recipe, plan = resolved.stated, resolved.plan
    measures = components.engine.sharding == "none"  # a forward pass of sharded weights needs every process
    sample = data.normalisation(data.train.inputs(torch.tensor([0]))).to(components.engine.device)

    def size(network: nn.Module) -> str:
        if (box := black_box_in(network)) is not None:
            return f"logits only, {as_bytes(box.bytes)}" if box.bytes else "logits only"
        words = f"{as_count(sum(parameter.numel() for parameter in network.parameters()))} parameters"
        return f"{words}, {as_count(forward_flops(network, sample))}FLOP per sample" if measures else words

    lines = {"data": f"{shown_name(recipe.data.name)}  {data.summary(resolved.view)}"}
    if recipe.has_teacher:
        lines["teacher"] = _teacher(resolved.student_inputs.teacher, resolved.student_inputs.labels, teachers, size)
        lines["teacher"] += "".join(f"  {check}" for check in checks)
    start = "" if recipe.start_from is None else f"  starts from {shown_name(recipe.start_from)}"
    lines[recipe.role if recipe.has_teacher else "network"] = (
        f"{shown_name(recipe.model.name)}  {size(components.learner.network.model)}{start}"
    )
    lines[recipe.terms_key] = _objective(resolved)
    if not isinstance(resolved.policy, PlainInputs):
        lines["inputs"] = f"{recipe.inputs.name}{_in_brackets(recipe.inputs.hyperparameters)}"
    epochs = f"{plan.last_epoch}" if plan.last_epoch == plan.epochs else f"{plan.last_epoch} of {plan.epochs}"
    lines["training"] = "  ".join(
        [f"{epochs} epochs", f"batch {resolved.batch_size}", f"seed {recipe.seed}", *_optimiser(resolved)]
    )
    lines["device"] = str(components.engine)
    lines["out"] = str(recipe.out)
    return tuple(f"{label:<{_LABEL}}{text}" for label, text in lines.items())


def throughput_unit(data: Data) -> str:
    """Return what is counted per second: "img" for images, "samples" for tables, texts and vectors."""
    return "img" if len(data.input_shape) == 3 else "samples"


def shown_name(name: str) -> str:
    """Return what names an object, as it is shown: of one passed from Python, its type.

    Examples:
        >>> shown_name("python:torch.nn.modules.container.Sequential"), shown_name("resnet8")
        ('Sequential', 'resnet8')
    """
    return name.removeprefix(PYTHON).rsplit(".", 1)[-1] if name.startswith(PYTHON) else name


def _teacher(section: TeacherSection, labels: str | None, teachers: TeacherSet, size: Any) -> str:
    if teachers.truth is not None:
        return "the true label distribution"
    if teachers.store is not None:
        return f"stored labels {labels}  {teachers.store.views} views"
    networks = teachers.networks
    paths: Sequence[str | None] = (section.path,) if isinstance(section.path, str) else section.path or ()
    if section.posterior is not None:
        path = section.path if isinstance(section.path, str) else None
        number = len(networks) * teachers.passes
        return "  ".join([*_named(path, section), size(networks[0]), f"{section.posterior} x {number}"])
    if len(paths) != len(networks):
        paths = (None,) * len(networks)
    words = ["  ".join([*_named(path, section), size(network)]) for network, path in zip(networks, paths, strict=True)]
    before = f"  after {len(teachers.anchors)} earlier states of it" if teachers.anchors else ""
    return f"{'; '.join(words)}{before}"


def _named(path: str | None, section: TeacherSection) -> list[str]:
    """Return where a teacher comes from, and the name of its network where it is known."""
    model = section.model.name if isinstance(section.model, ModelSection) else section.model
    if path is None or path.startswith(PYTHON):
        return [shown_name(path or model or "network")]
    known = model or (network_of(path) if Path(path).is_dir() else None)
    epoch = [] if section.epoch is None else [f"epoch {section.epoch}"]
    return [path, *([] if known is None else [shown_name(known)]), *epoch]


def _objective(resolved: ResolvedRecipe) -> str:
    """Return the terms with their weights and first hyperparameters."""
    stated = resolved.stated.terms.hyperparameters
    words = []
    for name, weight in resolved.objective.weight_of.items():
        settings = stated.get(name)
        own = dict(settings) if isinstance(settings, Mapping) else {}
        kind = shown_name(str(own.pop("name", name)))
        own.pop("weight", None)
        label = name if name == kind else f"{name} ({kind})"
        words.append(f"{_weight(weight)} {label}{_in_brackets(own)}")
    return " + ".join(words)


def _weight(weight: Weight) -> str:
    if not isinstance(weight, Schedule):
        return f"{weight:g}"
    name = next(key for key, kind in SCHEDULES.items() if type(weight) is kind)
    own = ", ".join(f"{key} {value:.3g}" for key, value in asdict(weight).items() if key != "peak")
    return f"{weight.peak:g} [{name}{f': {own}' if own else ''}]"


def _in_brackets(settings: Mapping[str, Any]) -> str:
    stated = [
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in settings.items()
        if value is not None
    ]
    return f" ({first_few(stated, _HYPERPARAMETERS)})" if stated else ""


def _optimiser(resolved: ResolvedRecipe) -> list[str]:
    recipe = resolved.stated
    optim, schedule = recipe.optim, recipe.schedule
    decay = f", weight decay {optim.weight_decay:g}" if optim.weight_decay else ""
    milestones = f" at {', '.join(f'{each:g}' for each in schedule.milestones)}" if schedule.name == "step" else ""
    warmup = f", warm-up {schedule.warmup:g}" if schedule.warmup else ""
    averaging = [] if recipe.averaging.name == "none" else [f"averaging {recipe.averaging.name}"]
    stop = [] if recipe.stop_rule is None else [f"stop_at {recipe.stop_rule}"]
    return [f"{optim.name} lr {optim.lr:g}{decay}", f"{schedule.name}{milestones}{warmup}", *averaging, *stop]
