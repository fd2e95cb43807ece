"""The teachers that a section names: runs, files, kept epochs, networks that come with weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from preceptor.artifacts.compatibility import TrainingDataInfo, check_compatibility, check_number
from preceptor.artifacts.create import data_spec, make_network, named
from preceptor.artifacts.identify import PYTHON, kept_weights
from preceptor.artifacts.load import checked_run, load_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.sections import ModelSection, TeacherSection
from preceptor.data import Data
from preceptor.errors import UsageError
from preceptor.messages import unheard
from preceptor.models import Adapted

__all__ = ["load_anchors", "load_teachers"]


def load_teachers(
    section: TeacherSection,
    data: Data,
    *,
    passed: nn.Module | Sequence[nn.Module] | None = None,
    model: nn.Module | None = None,
    tell: Callable[[str], None] = unheard,
) -> list[nn.Module]:
    """Return the teachers that a section names, checked against the data's classes.

    Args:
        section: names them.
        data: that they will run on.
        passed: the teacher, or several, where they were passed from Python; the section may name the run that it is of.
        model: like the one teacher's network, in place of the name of it.
        tell: hears which weights of a checkpoint were taken.

    Raises:
        UsageError: when one is missing, damaged, unfinished, or has other classes.
    """
    if passed is not None:
        if isinstance(section.path, str) and not section.path.startswith(PYTHON):
            check_compatibility(f"run {section.path}", TrainingDataInfo.from_run(RunFolder(section.path)), data)
        return [passed] if isinstance(passed, nn.Module) else list(passed)
    if model is not None and (not isinstance(section.path, str) or section.anchors is not None):
        raise UsageError("teacher.model: a network passed from Python goes with one path, and without anchors")
    if section.weights_key is not None and (section.path is None or section.epoch is not None):
        raise UsageError(f"teacher.weights_key: {section.weights_key} chooses from a checkpoint; name it: teacher=FILE")
    if section.path is None and section.model is not None:
        return [_load_trained(section.model, data)]
    if section.path is None:
        raise UsageError("teacher: none given; teacher=RUN_FOLDER, or teacher=FILE.pth teacher.model=NAME")
    if section.epoch is not None:
        return [_load_kept(section, section.epoch, data, model)]
    paths = (section.path,) if isinstance(section.path, str) else section.path
    return [
        load_network(Path(path), model or section.model, data, weights_key=section.weights_key, tell=tell)
        for path in paths
    ]


def _load_trained(model: str | ModelSection, data: Data) -> nn.Module:
    """Return a network that comes with weights of its own."""
    section = named(model)
    network = make_network(section, data_spec(data))
    classes = network.trained_classes if isinstance(network, Adapted) else None
    if not classes:
        lacks = "trained weights" if classes is None else "a trained classifier"
        raise UsageError(f"teacher.model: {section.name} comes without {lacks}; name a file of them: teacher=FILE")
    check_number(f"teacher {section.name}", classes, data)
    return network


def _load_kept(section: TeacherSection, epoch: int, data: Data, model: nn.Module | None) -> nn.Module:
    if not isinstance(section.path, str) or not Path(section.path).is_dir():
        raise UsageError(f"teacher.epoch: need one run folder as teacher, got {section.path}")
    folder = RunFolder(section.path)
    return checked_run(folder, data, kept_weights(folder, epoch, "teacher.epoch"), model=model or section.model)


def load_anchors(section: TeacherSection, data: Data) -> list[nn.Module]:
    """Return the teacher's network as it was at each of its anchors, in the order of its training.

    Raises:
        UsageError: when the teacher is not one run folder, or an epoch was not kept.
    """
    if section.anchors is None:
        return []
    if not isinstance(section.path, str) or not Path(section.path).is_dir():
        raise UsageError(f"teacher.anchors: need one run folder as teacher, got {section.path}")
    folder = RunFolder(section.path)
    kept = folder.kept_epochs()
    epochs = tuple(kept) if section.anchors == "kept" else section.anchors
    missing = [epoch for epoch in epochs if epoch not in kept]
    if missing or not epochs:
        there = ", ".join(str(epoch) for epoch in kept) or "none"
        raise UsageError(
            f"teacher.anchors: {folder.path} has kept epochs {there}, not {missing or 'any'}; teach with keep_every=N"
        )
    return [checked_run(folder, data, kept[epoch], model=section.model) for epoch in sorted(epochs)]
