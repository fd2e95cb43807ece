"""What a run is made from, by fingerprints: compared when it is resumed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from preceptor.artifacts.run_folder import RunFolder, what_matters
from preceptor.config.resolve import ResolvedRecipe
from preceptor.data.dataset import fingerprint
from preceptor.errors import UsageError
from preceptor.messages import first_difference
from preceptor.runner.load import LoadedInputs
from preceptor.runner.teachers import TeacherSet

__all__ = ["Fingerprints", "check_finished", "config_of", "fingerprints_of", "identity_of"]

Fingerprints = dict[str, str | None]


def config_of(resolved: ResolvedRecipe) -> dict[str, Any]:
    """Return the configuration that the run folder holds: what the run is, and not what was to become of an earlier one."""
    return {
        "kind": resolved.stated.kind,
        **resolved.stated.model_dump(mode="json"),
        "resume": False,
        "overwrite": False,
    }


def fingerprints_of(inputs: LoadedInputs, teachers: TeacherSet, start: str | None) -> Fingerprints:
    """Return the fingerprints of everything that a run is made from, beside its configuration; None: it has no such thing.

    Args:
        inputs: data, pool and stored labels.
        teachers: of the run.
        start: fingerprint of the weights that training starts from.
    """
    labels = None
    if inputs.store is not None:
        source = json.dumps(asdict(inputs.store.manifest.source), sort_keys=True)
        labels = hashlib.sha256(source.encode()).hexdigest()[:16]
    return {
        "data": inputs.data.fingerprint,
        "truth": inputs.data.truth_fingerprint,
        "unlabelled": None if inputs.pool is None else fingerprint(inputs.pool),
        "labels": labels,
        "teacher": teachers.fingerprint,
        "start_from": start,
    }


def identity_of(resolved: ResolvedRecipe, fingerprints: Fingerprints) -> dict[str, Any]:
    """Return what has to be the same when a checkpoint is resumed: the keys that matter, and the fingerprints."""
    return {**what_matters(config_of(resolved)), "fingerprints": fingerprints}


def check_finished(folder: RunFolder, resolved: ResolvedRecipe, fingerprints: Fingerprints) -> None:
    """Check that a finished run was made from the same configuration and things.

    Raises:
        UsageError: when it was not: the first difference is named.
    """
    folder.check_same(config_of(resolved))
    record = folder.read_record()
    before = {
        "data": record.data_fingerprint,
        "truth": record.truth_fingerprint,
        "unlabelled": record.unlabelled_fingerprint,
        "labels": record.labels_fingerprint,
        "teacher": record.teacher_fingerprint,
        "start_from": record.start_fingerprint,
    }
    if difference := first_difference(before, fingerprints):
        what, old, new = difference
        raise UsageError(
            f"{what}: the finished run {folder.path} was made with another one (fingerprint {old}, now {new}); overwrite=true "
            "makes it anew"
        )
