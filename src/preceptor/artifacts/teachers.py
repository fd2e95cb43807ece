"""The teachers that a section names: runs, files, kept epochs, networks that come with weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from preceptor.artifacts.black_boxes import fitted_to_data
from preceptor.artifacts.classes import names_stated_by, select, select_stated
from preceptor.artifacts.compatibility import check_compatibility, match_classes
from preceptor.artifacts.create import data_spec, make_network, model_section
from preceptor.artifacts.identify import PYTHON, is_run, kept_weights, learned_at, must_be_named
from preceptor.artifacts.load import load_network, load_run_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.sections import ModelSection, TeacherSection
from preceptor.data import Data
from preceptor.errors import UsageError
from preceptor.messages import unheard
from preceptor.models import Adapted, SelectedClasses, black_box_in
from preceptor.types import ClassSelection

__all__ = ["load_anchors", "load_teachers"]


def load_teachers(
    section: TeacherSection,
    data: Data,
    *,
    teacher: nn.Module | Sequence[nn.Module] | None = None,
    model: nn.Module | None = None,
    tell: Callable[[str], None] = unheard,
) -> list[nn.Module]:
    """Return the teachers that a section names, checked against the data's classes.

    Args:
        section: names them.
        data: that they will run on.
        teacher: the teacher, or several, where they were passed from Python; the section may name the run of the one.
            Estimators and functions among them are fitted to the data here.
        model: a module like the one teacher's network, in place of its name.
        tell: hears which weights of a checkpoint were taken.

    Raises:
        UsageError: when one is missing, damaged, unfinished, or has other classes.
    """
    if teacher is None and section.path is None and section.anchors is None:
        teacher = model
    if teacher is not None:
        passed = [teacher] if isinstance(teacher, nn.Module) else teacher
        return [_passed(network, section, data) for network in passed]
    if model is not None and (not isinstance(section.path, str) or section.anchors is not None):
        raise UsageError("teacher.model: a network passed from Python goes with one path, and without anchors")
    if section.weights_key is not None and (section.path is None or section.epoch is not None):
        raise UsageError(f"teacher.weights_key: {section.weights_key} chooses from a checkpoint; name it: teacher=FILE")
    if section.path is None and section.model is not None:
        return [_with_own_weights(section.model, data, section.classes)]
    if section.path is None:
        raise UsageError("teacher: none given; teacher=RUN_FOLDER, or teacher=FILE.pth teacher.model=NAME")
    if section.epoch is not None:
        return _load_epochs(section, [section.epoch], data, "teacher.epoch", model)
    made_of = section.model if model is None else model
    paths = [Path(path) for path in ((section.path,) if isinstance(section.path, str) else section.path)]
    # of several, the model goes with those that must be named, and the inputs of ONNX files with these
    are_programs = [path.suffix == ".onnx" for path in paths]
    takes_model = [
        len(paths) == 1 or (not is_program and (not is_run(path) or must_be_named(path)))
        for path, is_program in zip(paths, are_programs, strict=True)
    ]
    return [
        load_network(
            path,
            made_of if takes else None,
            data,
            weights_key=section.weights_key,
            tell=tell,
            classes=section.classes,
            onnx=section.onnx if is_program or len(paths) == 1 else None,
        )
        for path, takes, is_program in zip(paths, takes_model, are_programs, strict=True)
    ]


def load_anchors(section: TeacherSection, data: Data) -> list[nn.Module]:
    """Return the teacher's network at each of its anchors, in the order of its training.

    Raises:
        UsageError: when the teacher is not one run folder, or an epoch was not kept.
    """
    if section.anchors is None:
        return []
    return _load_epochs(
        section, None if section.anchors == "kept" else sorted(section.anchors), data, "teacher.anchors"
    )


def _passed(teacher: nn.Module, section: TeacherSection, data: Data) -> nn.Module:
    """Return a network that was passed from Python, with logits of the data's classes."""
    if isinstance(teacher, SelectedClasses):  # the network beside a path, loaded here before
        return teacher
    teacher = fitted_to_data(teacher, data)
    if (box := black_box_in(teacher)) is not None:
        return select_stated(f"teacher {box.name}", teacher, data, section.classes)
    if not isinstance(section.path, str) or section.path.startswith(PYTHON):
        return select_stated("teacher", teacher, data, section.classes)
    learned = learned_at(Path(section.path))
    if learned is None:
        return select_stated("teacher", teacher, data, section.classes)
    order = check_compatibility(f"run {section.path}", learned, data, section.classes)
    return select(teacher, order, len(learned.class_names), data)


def _with_own_weights(model: str | ModelSection, data: Data, selection: ClassSelection) -> nn.Module:
    """Return a network that comes with weights of its own."""
    section = model_section(model)
    spec = data_spec(data)
    network = make_network(section, spec)
    classes = network.trained_classes if isinstance(network, Adapted) else None
    if not classes:
        missing = "trained weights" if classes is None else "a trained classifier"
        raise UsageError(f"teacher.model: {section.name} comes without {missing}; name a file of them: teacher=FILE")
    names = names_stated_by(network)
    if len(names) != classes:
        names = tuple(map(str, range(classes)))
    order = match_classes(f"teacher {section.name}", names, data, selection)
    if classes != data.num_classes:  # its own classifier in place of a new one
        network = make_network(section, replace(spec, num_classes=classes))
    return select(network, order, classes, data)


def _load_epochs(
    section: TeacherSection, epochs: list[int] | None, data: Data, key: str, model: nn.Module | None = None
) -> list[nn.Module]:
    """Return the network of the teacher's run at kept epochs; None: at all of them."""
    if not isinstance(section.path, str) or not Path(section.path).is_dir():
        raise UsageError(f"{key}: need one run folder as teacher, got {section.path}")
    folder = RunFolder(section.path)
    return [
        load_run_network(
            folder,
            weights,
            model=section.model if model is None else model,
            data=data,
            key="teacher.model",
            classes=section.classes,
        )
        for weights in kept_weights(folder, epochs, key)
    ]
