"""The data that a recipe names."""

from __future__ import annotations

from preceptor import data as data_room
from preceptor.data import Data
from preceptor.recipes.config import DataSection

__all__ = ["load_data"]


def load_data(section: DataSection) -> Data:
    """Return the data that a section names."""
    return data_room.load(
        section.name,
        validation=section.validation,
        limit=section.limit,
        test_limit=section.test_limit,
        split_seed=section.split_seed,
        labelled_fraction=section.labelled_fraction,
        options=section.knobs,
    )
