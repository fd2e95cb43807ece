from __future__ import annotations

import pytest

from preceptor.config.sections import DataSection
from preceptor.data import load
from preceptor.errors import UsageError
from preceptor.runner.data import load_data


def test_every_key_of_the_section_counts() -> None:
    keys = {"validation": 0.25, "limit": 80, "test_limit": 30, "split_seed": 3, "labelled_fraction": 0.5}
    section = DataSection.model_validate({"name": "ambiguous_digits", **keys, "samples": 200, "test_samples": 60})
    data = load_data(section)
    expected = load(
        "ambiguous_digits",
        validation=0.25,
        limit=80,
        test_limit=30,
        split_seed=3,
        labelled_fraction=0.5,
        options={"samples": 200, "test_samples": 60},
    )
    assert data.fingerprint == expected.fingerprint
    assert (len(data.test), data.validation_share) == (30, 0.25)
    assert data.pool is not None
    assert len(data.pool) == len(data.train) == 40
    other = load_data(section.model_copy(update={"split_seed": 4}))
    assert other.fingerprint != data.fingerprint


def test_an_unknown_key_belongs_to_no_source() -> None:
    with pytest.raises(UsageError, match=r"data\.sampels: unknown key; did you mean samples"):
        load_data(DataSection.model_validate({"name": "ambiguous_digits", "sampels": 5}))
