"""`PKG.MODULE:CLASS` as an objective: which classes a configuration can make."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.errors import UsageError
from preceptor.objectives.base import Objective
from preceptor.objectives.distill import AT, KD, SimKD
from preceptor.objectives.own import own_objective, reads_features
from preceptor.objectives.weighted import Sum

MODULE = """
from __future__ import annotations
from preceptor.objectives.base import Objective

class Fine(Objective):
    def __init__(self, sharpness: float = 2.0):
        super().__init__()
    def loss(self, step):
        return step.student.logits.sum()

class Without(Objective):
    pass

class Weight(Fine):
    def __init__(self, weight: float = 2.0):
        super().__init__()

class Unknown(Fine):
    def __init__(self, where: Nowhere):
        super().__init__()

class Other:
    pass

made = Fine()
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("own_objectives.py").write_text(MODULE)


def test_a_subclass_of_objective_is_taken() -> None:
    kind = own_objective("own_objectives:Fine", "method")
    assert issubclass(kind, Objective)
    assert kind.__name__ == "Fine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Other", "is the class Other, expected a subclass of preceptor.objectives.base.Objective"),
        ("made", "is a Fine, expected a subclass"),
        ("Without", "does not define loss"),
        ("Weight", "has a hyperparameter 'weight', which is a key of every term; rename it"),
        ("Unknown", "constructor cannot be read: name 'Nowhere' is not defined"),
        ("Fin", "own_objectives has no 'Fin'; did you mean Fine?"),
        ("zzz", "there are: Objective, Fine, Without, Weight, Unknown"),
    ],
)
def test_a_class_that_is_none_of_a_configuration(name: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        own_objective(f"own_objectives:{name}", "method")
    assert str(error.value).startswith("method: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_which_look_at_features() -> None:
    assert [reads_features(each) for each in (KD(), AT(), SimKD())] == [False, True, True]
    assert reads_features(Sum(kd=(1.0, KD())))  # it may: its terms decide
    assert not reads_features(own_objective("own_objectives:Fine", "method")())
