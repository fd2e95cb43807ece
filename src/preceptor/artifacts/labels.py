"""Labels that `preceptor label` stored, opened for a run that learns from them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.artifacts.fingerprints import fingerprint
from preceptor.artifacts.teachers import load_teachers
from preceptor.config.sections import AnyRecipe, StudentInputs
from preceptor.data import Data
from preceptor.errors import UsageError
from preceptor.labels import LabelStore

__all__ = ["open_labels"]


def open_labels(
    recipe: AnyRecipe, inputs: StudentInputs, teacher: nn.Module | Sequence[nn.Module] | None, data: Data
) -> LabelStore:
    """Return the stored labels of a recipe, checked against its data, view and teacher.

    Raises:
        UsageError: when they are of another teacher, other data or another view: each difference is named; or when the
            recipe needs outputs that are not stored.
    """
    for key, is_set in (
        ("inputs", recipe.inputs.name != "real"),
        ("unlabelled", inputs.unlabelled is not None or data.pool is not None),
        ("teacher.anchors", inputs.teacher.anchors is not None),
        ("teacher.truth", inputs.teacher.truth),
        ("teacher.assistants", bool(inputs.teacher.assistants)),
    ):
        if is_set:
            raise UsageError(
                f"{key}: cannot be used with labels={inputs.labels}, which hold outputs for the data's own views only"
            )
    for key, value in (("calibrate", inputs.teacher.calibrate), ("posterior", inputs.teacher.posterior)):
        if value is not None:
            raise UsageError(
                f"teacher.{key}: {value} changes the outputs before they are stored: give it to preceptor label"
            )
    store = LabelStore(str(inputs.labels))
    stored, differences = store.manifest.source, []
    if stored.data != data.fingerprint:
        there = f"{store.manifest.names['data']} ({stored.data}, {stored.samples:,} training samples)"
        differences.append(f"data: {there} there, {data.name} ({data.fingerprint}, {len(data.train):,}) here")
    for what, theirs, ours in (
        ("classes", stored.encoding.num_classes, data.num_classes),
        ("training samples", stored.samples, len(data.train)),
    ):
        if theirs != ours and not differences:  # the manifest contradicts itself: its data are these
            differences.append(f"{what}: {theirs:,} there, {ours:,} here")
    if recipe.data.view is not None and data.view_named(recipe.data.view) != stored.view:
        differences.append(f"data.view: {stored.view} there, {recipe.data.view} here")
    if teacher is not None or inputs.teacher.path is not None:
        networks = load_teachers(inputs.teacher, data, teacher=teacher)
        fingerprints = [fingerprint(network) for network in networks]
        if fingerprints != list(stored.teachers):
            differences.append(f"teacher: {', '.join(stored.teachers)} there, {', '.join(fingerprints)} here")
    if differences:
        raise UsageError(f"labels: {store.folder} are other labels: {'; '.join(differences)}")
    return store
