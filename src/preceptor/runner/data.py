"""The data that a recipe names."""

from __future__ import annotations

from collections.abc import Collection

from preceptor import data as data_room
from preceptor.config.sections import DataSection
from preceptor.data import Data, TableFit
from preceptor.types import Preprocessing

__all__ = ["load_data"]


def load_data(
    section: DataSection,
    *,
    fit: TableFit | None = None,
    preprocessing: Preprocessing | None = None,
    trained_on: Collection[str] | None = None,
) -> Data:
    """Return the data that a section names; the rest is as for `preceptor.data.load`."""
    return data_room.load(
        section.name,
        validation=section.validation,
        limit=section.limit,
        test_limit=section.test_limit,
        split_seed=section.split_seed,
        labelled_fraction=section.labelled_fraction,
        options=section.hyperparameters,
        fit=fit,
        preprocessing=preprocessing,
        trained_on=trained_on,
    )
