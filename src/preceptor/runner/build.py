"""A run's components: both networks observed, and the objective built from their outputs for two samples."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from preceptor.artifacts.create import data_spec, make_network, reading_notes
from preceptor.config.resolve import ResolvedRecipe
from preceptor.config.sections import ModelSection
from preceptor.data import Data, plain_batches
from preceptor.errors import UsageError
from preceptor.models import black_box_in, feature_names, heads_in_training, observe
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.weighted import Sum
from preceptor.runner.load import LoadedInputs
from preceptor.runner.objective_checks import (
    check_black_boxes,
    check_classes,
    check_multilabel,
    check_stored,
    feature_shapes,
    find_black_boxes,
)
from preceptor.runner.teachers import TeacherSet
from preceptor.training import (
    Engine,
    EnsembleTeacher,
    Learner,
    LiveTeacher,
    OracleTeacher,
    SequentialTeacher,
    StoredTeacher,
    TeacherSource,
    average_outputs,
    forward_flops,
    strides_over_one_pixel,
)
from preceptor.types import Outputs

__all__ = ["RunComponents", "build"]


_ONE_PIXEL = (
    "engine: {}, because the student has strided convolutions on maps of one pixel, whose gradients in bf16 on a CPU can "
    "contain uninitialised memory; model.resolution=N avoids such maps"
)


@dataclass(frozen=True, slots=True)
class RunComponents:
    """The learner, the source of its teacher's outputs, and the engine on which both run."""

    learner: Learner
    teacher: TeacherSource | None
    engine: Engine
    notes: tuple[str, ...]


def build(
    resolved: ResolvedRecipe, inputs: LoadedInputs, model: nn.Module, teachers: TeacherSet, engine: Engine
) -> RunComponents:
    """Return the learner and its teacher source.

    Args:
        resolved: the recipe.
        inputs: the data and stored labels.
        model: is trained.
        teachers: of the run.
        engine: may leave open whether to compile: see `Engine.decide`.

    Raises:
        UsageError: for networks with other numbers of classes than the data, a term that is not defined for the task, or
            networks without the features that the objective needs.
    """
    data, objective, recipe = inputs.data, resolved.objective, resolved.stated
    half = [each.dtype for each in model.parameters() if each.dtype in {torch.float16, torch.bfloat16}]
    if half:
        raise UsageError(
            f"model: its weights are {half[0]}, too coarse to train; pass model.float() (precision=bf16 is faster)"
        )
    if data.task == "multilabel":
        check_multilabel(objective)
    boxes = find_black_boxes(teachers.networks, engine)
    sample = next(plain_batches(data.train, data.normalisation, 2, engine.device)).inputs
    context = _context(resolved, inputs, model, teachers, sample, engine)
    check_classes(context, data)
    check_black_boxes(boxes, objective, context)
    student = objective.wrap_student(model, context)
    if student is not model:
        context = _context(resolved, inputs, student, teachers, sample, engine)
    is_unsafe = engine.precision == "bf16" and engine.device.type == "cpu" and strides_over_one_pixel(student, sample)
    if is_unsafe and recipe.precision == "auto":
        engine = engine.in_float32()
    with engine.autocast():
        heads = heads_in_training(student, sample)
    if engine.compiles is None:
        engine = engine.decide(_work(student, teachers, resolved, data, sample))
    if teachers.store is not None:
        check_stored(teachers.store, objective, context)
    taps = objective.taps(feature_shapes(context.student), feature_shapes(context.teacher))
    objective.build(_context(resolved, inputs, student, teachers, sample, engine, taps))
    rows, processes = resolved.policy.rows(resolved.batch_size), engine.processes
    rows = len(range(processes.rank, rows, processes.world_size))  # of this process
    rows = -(-rows // recipe.accumulate) * (1 + len(objective.views()))
    unsharded = copy.deepcopy(student).cpu() if engine.sharding == "all" else None
    network = engine.place(observe(student, taps.student))
    learner = engine.place(Learner(network, objective, engine.accelerate(network, rows), unsharded))
    engine.shard(student, "student")
    notes = (
        *reading_notes("model", [model]),
        *([f"model: returns {heads} outputs like logits in training; only the first is trained"] if heads > 1 else []),
        *reading_notes("teacher", teachers.networks),
        *objective.notes(),
        *_compared_in_passes(objective, recipe.accumulate),
        *((_ONE_PIXEL.format(engine.precision),) if is_unsafe else ()),
        *(
            (f"graph: off, because the teacher {boxes[0].name} runs outside PyTorch",)
            if boxes and engine.graphs
            else ()
        ),
    )
    engine = replace(engine, graphs=engine.graphs and not boxes)
    return RunComponents(learner, _source(teachers, taps.teacher, resolved, data, engine, rows), engine, notes)


def _context(
    resolved: ResolvedRecipe,
    inputs: LoadedInputs,
    student: nn.Module,
    teachers: TeacherSet,
    sample: Tensor,
    engine: Engine,
    taps: Taps | None = None,
) -> BuildContext:
    """Return the context that the objective is built from; without taps, with every feature of the networks."""
    data = inputs.data
    student_names, teacher_names = (None, None) if taps is None else (taps.student, taps.teacher)
    outputs = [_probe(teacher, teacher_names, sample, engine, "teacher") for teacher in teachers.networks]
    outputs *= teachers.passes
    return BuildContext(
        num_samples=len(data.train) + (0 if inputs.pool is None else len(inputs.pool)),
        num_classes=data.num_classes,
        student=_probe(student, student_names, sample, engine, "student"),
        teacher=_teacher_outputs(outputs, teachers, data, engine),
        model=student,
        teacher_model=next((each for each in teachers.networks[:1] if black_box_in(each) is None), None),
        labels=data.train.labels,
        batch_size=max(min(resolved.batch_size, len(data.train)) // resolved.stated.accumulate, 1),
        task=data.task,
        inputs=sample,
        new_network=lambda name: make_network(
            resolved.stated.model if name is None else ModelSection(name=name), data_spec(data)
        ),
        teacher_files=teachers.files,
    )


def _probe(network: nn.Module, names: Sequence[str] | None, sample: Tensor, engine: Engine, who: str) -> Outputs:
    """Return a network's outputs for the sample, in eval mode; with names=None, with every feature."""
    try:
        observed = observe(network, feature_names(network, preactivation=True) if names is None else names)
    except UsageError as error:
        raise UsageError(f"{who}'s {error}") from error  # which names a feature
    was_training = network.training
    engine.place(observed).eval()
    with torch.no_grad(), engine.autocast():
        outputs: Outputs = observed(sample)
    observed.release().train(was_training)
    return outputs


def _teacher_outputs(outputs: Sequence[Outputs], teachers: TeacherSet, data: Data, engine: Engine) -> Outputs | None:
    if teachers.truth is not None:
        return Outputs(teachers.truth[:2].float().to(engine.device))
    if teachers.store is not None:
        return Outputs(teachers.store.logits(1, torch.tensor([0, 1])).to(engine.device))
    return None if not outputs else outputs[0] if len(outputs) == 1 else average_outputs(outputs, data.task)


def _compared_in_passes(objective: Sum, passes: int) -> tuple[str, ...]:
    """Return a line on the terms that compare rows, where a batch is split into several passes."""
    comparing = [name for name, term in objective.named_terms() if name in objective.running and term.compares_rows]
    if passes == 1 or not comparing:
        return ()
    return (
        f"accumulate: rows are compared within one of {passes} passes, not over the batch ({', '.join(comparing)})",
    )


def _work(student: nn.Module, teachers: TeacherSet, resolved: ResolvedRecipe, data: Data, sample: Tensor) -> float:
    """Return the floating-point operations of the run: a step costs the student three forward passes, a teacher one."""
    of_teachers = teachers.passes * sum(forward_flops(network, sample) for network in teachers.networks)
    return (3 * forward_flops(student, sample) + of_teachers) * len(data.train) * resolved.epochs


def _source(
    teachers: TeacherSet, names: Sequence[str], resolved: ResolvedRecipe, data: Data, engine: Engine, rows: int
) -> TeacherSource | None:
    if teachers.truth is not None:
        return OracleTeacher(teachers.truth, engine)
    if teachers.store is not None:
        return StoredTeacher(teachers.store)
    anchors, live = (
        [LiveTeacher(observe(network, names), engine, rows) for network in networks]
        for networks in (teachers.anchors, teachers.networks)
    )
    live *= teachers.passes
    if not anchors:
        return None if not live else live[0] if len(live) == 1 else EnsembleTeacher(live, data.task)
    sequence, switches = [*anchors, *live], resolved.student_inputs.teacher.switch_epochs
    if switches is None:
        switches = tuple(1 + round(resolved.plan.epochs * number / len(sequence)) for number in range(1, len(sequence)))
    if len(switches) != len(sequence) - 1 or list(switches) != sorted(switches):
        raise UsageError(
            f"teacher.switch_epochs: {list(switches)} must be {len(sequence) - 1} rising epochs, one for each change "
            f"between {len(anchors)} anchors and the teacher"
        )
    return SequentialTeacher(sequence, switches)
