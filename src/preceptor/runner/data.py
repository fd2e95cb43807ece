"""The data that a recipe names."""

from __future__ import annotations

from collections.abc import Collection

from preceptor import data as data_room
from preceptor.config.sections import DataSection
from preceptor.data import Data, TableFit
from preceptor.errors import UsageError
from preceptor.types import Preprocessing

__all__ = ["check_labelled", "load_data"]


def load_data(
    section: DataSection,
    *,
    fit: TableFit | None = None,
    preprocessing: Preprocessing | None = None,
    trained_on: Collection[str] | None = None,
    is_pool: bool = False,
) -> Data:
    """Return the data that a section names; the rest is as for `preceptor.data.load`.

    Raises:
        UsageError: as for `preceptor.data.load`, and when data other than a pool have no labels.
    """
    data = data_room.load(
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
    return data if is_pool else check_labelled(data)


def check_labelled(data: Data) -> Data:
    """Return data that have labels.

    Raises:
        UsageError: when they have none.
    """
    if not data.is_labelled:
        raise UsageError(
            f"data: the samples of {data.name} have no labels; they can be a pool beside others: unlabelled="
        )
    return data
