"""Every combination of choices, and what it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from grids import small_grid
from preceptor.errors import UsageError
from preceptor.experiments.combinations import Combination, combinations
from preceptor.experiments.grid_file import parse_grid


def made(folder: Path, **more: Any) -> list[Combination]:
    """Return the combinations of a small grid."""
    return list(combinations(parse_grid(yaml.safe_dump(small_grid(folder, **more), sort_keys=False), "g.yaml")))


def test_lists_multiply_and_zipped_ones_do_not(tmp_path: Path) -> None:
    pairs = [{"teacher.model": "convnet_m", "model": "mlp"}, {"teacher.model": "mlp", "model": "convnet_s"}]
    teach = {"objective": ["cross_entropy", "brier"]}
    own = made(tmp_path, seed=[0, 1], pair=pairs, teach=teach, distill={"method": ["kd", "dkd", "dist"]})
    assert len(own) == 2 * 2 * 2 * 3
    networks = {(each.teach.model.name, each.distill.model.name) for each in own if each.teach and each.distill}
    assert networks == {("convnet_m", "mlp"), ("mlp", "convnet_s")}
    assert [each.seed for each in own] == [0] * 12 + [1] * 12
    assert own[-1].labels == {
        "pair": "mlp -> convnet_s",
        "objective": "brier",
        "stop_at": "last",
        "method": "dist",
        "inputs": "real",
    }


def test_fixed_keys_reach_every_verb_and_a_section_wins(tmp_path: Path) -> None:
    (own,) = made(tmp_path, distill={"method": "kd", "epochs": 7}, label={"views": 3})
    assert own.words["teach"] == (
        *("data=digits", "data.limit=100", "data.test_limit=50", "epochs=2", "model=convnet_s"),
        *("objective=cross_entropy", "seed=0"),
    )
    assert "epochs=7" in own.words["distill"]
    assert own.words["label"] == ("data=digits", "data.limit=100", "data.test_limit=50", "views=3", "seed=0")


def test_what_only_one_verb_lists_goes_by_its_key_and_what_both_list_by_the_verbs_too(tmp_path: Path) -> None:
    teach = {"optim.lr": [0.1, 0.2], "epochs": [1, 2], "stop_at": ["last", 1], "inputs": ["real", "mixup"]}
    distill = {"epochs": [1, 3], "stop_at": ["last", "best_val_nll"], "method": "kd"}
    own = made(tmp_path, teach=teach, distill=distill)[-1]
    assert own.labels == {
        **{"pair": "convnet_s -> mlp", "objective": "cross_entropy", "stop_at": 1, "method": "kd", "inputs": "real"},
        **{"optim.lr": 0.2, "teach.epochs": 2, "teach.inputs": "mixup", "epochs": 3, "distill.stop_at": "best_val_nll"},
    }


def test_a_procedure_names_the_inputs_that_it_implies(tmp_path: Path) -> None:
    (own,) = made(tmp_path, distill={"method": "kd_plus"})
    assert (own.labels["method"], own.labels["inputs"]) == ("kd_plus", "kd_plus")


def test_without_teach_the_teacher_is_a_path(tmp_path: Path) -> None:
    values = {"fixed": {"data": "digits", "teacher": "runs/t"}, "distill": {"model": "mlp", "method": ["kd", "dkd"]}}
    own = list(combinations(parse_grid(yaml.safe_dump(values), "g.yaml")))
    assert [each.labels for each in own] == [{"method": "kd", "inputs": "real"}, {"method": "dkd", "inputs": "real"}]
    assert own[0].teach is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"teach": {"objective": ["brier", "sotecher"]}},
            "teach.objective[1]: unknown name 'sotecher'; did you mean soteacher",
        ),
        ({"teach": {"objective": {"name": "brier", "lr": 1}}}, "teach.objective.lr: unknown key"),
        ({"distill": {"method": {"name": "kd", "temperatur": 2}}}, "distill.method.temperatur: unknown key"),
        ({"distill": {"method": "kd", "optim": {"lr": "high"}}}, "distill.optim.lr: input should be a valid number"),
        ({"pair": [{"teacher.model": "convnet_x", "model": "mlp"}]}, "pair[0].teacher.model: unknown name 'convnet_x'"),
        ({"fixed": {"data": "digits", "epoch": 1}}, "fixed.epoch: unknown key; did you mean epochs?"),
        ({"distill": {"model": "convnet_s"}}, "distill.model: is set by pair[0].model too"),
        ({"size": [{"epochs": 1}, {"epochs": 0}]}, "size[1].epochs: input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_key_or_value_is_told_with_its_place(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        made(tmp_path, **more)
    file, _, problem = str(error.value).partition(": ")
    assert file.startswith("g.yaml:")
    assert problem.startswith(message)


def test_a_key_of_a_verb_that_the_grid_has_not_is_told() -> None:
    values = {"fixed": {"data": "digits", "model": "mlp", "objective": "brier"}, "distill": {"method": "kd"}}
    with pytest.raises(UsageError, match=r"fixed.objective: is a key of teach, and the file has no such section"):
        list(combinations(parse_grid(yaml.safe_dump(values), "g.yaml")))
