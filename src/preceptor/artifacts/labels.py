"""Labels that `preceptor label` stored, opened for a run that wants to learn from them."""

from __future__ import annotations

from torch import nn

from preceptor.artifacts.provenance import fingerprint
from preceptor.artifacts.teachers import load_teachers
from preceptor.config.sections import DistillRecipe
from preceptor.data import Data
from preceptor.errors import UsageError
from preceptor.labels import LabelStore

__all__ = ["open_labels"]


def open_labels(recipe: DistillRecipe, folder: str, teacher: nn.Module | None, data: Data) -> LabelStore:
    """Return the labels in a folder, if they are those that a recipe needs.

    Raises:
        UsageError: when they are of another teacher, other data or another view: each difference is named; or when the
            recipe asks for what is not stored.
    """
    for key, is_set in (
        ("inputs", recipe.inputs.name != "real"),
        ("unlabelled", recipe.unlabelled is not None or data.pool is not None),
        ("teacher.anchors", recipe.teacher.anchors is not None),
        ("teacher.truth", recipe.teacher.truth),
        ("teacher.assistants", bool(recipe.teacher.assistants)),
    ):
        if is_set:
            raise UsageError(
                f"{key}: cannot be used with labels={folder}, which hold answers to the data's own views only"
            )
    store = LabelStore(folder)
    stored, differences = store.manifest.source, []
    if stored.data != data.fingerprint:
        there = f"{store.manifest.names['data']} ({stored.data}, {stored.samples:,} training samples)"
        differences.append(f"data: {there} there, {data.name} ({data.fingerprint}, {len(data.train):,}) here")
    if recipe.data.view not in {None, stored.view}:
        differences.append(f"data.view: {stored.view} there, {recipe.data.view} here")
    if teacher is not None or recipe.teacher.path is not None:
        networks = load_teachers(recipe.teacher, data, given=teacher)
        asked = [fingerprint(network) for network in networks]
        if asked != list(stored.teachers):
            differences.append(f"teacher: {', '.join(stored.teachers)} there, {', '.join(asked)} here")
    if differences:
        raise UsageError(f"labels: {store.folder} are other labels: {'; '.join(differences)}")
    return store
