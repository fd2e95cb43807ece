from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from preceptor import models
from preceptor.artifacts.run_folder import network_of
from preceptor.config.overrides import make_recipe
from preceptor.config.presets import PRESETS
from preceptor.config.procedures import PROCEDURES
from preceptor.config.sections import DistillRecipe, TeachRecipe
from preceptor.config.terms import resolve_terms
from preceptor.errors import UsageError
from preceptor.objectives.distill import METHODS
from preceptor.training import LearningRate
from preceptor.types import Progress
from records import made_config


def student(*words: str) -> DistillRecipe:
    return make_recipe(DistillRecipe, overrides=["data=cifar100", "teacher=x.pth", *words])


def terms(recipe: DistillRecipe) -> dict[str, dict[str, Any]]:
    return resolve_terms(recipe.method, "method", has_teacher=True)


def falls(recipe: DistillRecipe, epochs: int) -> list[int]:
    """Return the first epochs at a lower rate."""
    rate = LearningRate(1.0, recipe.schedule)
    rates = [rate(Progress(epoch, epochs, 0.0)) for epoch in range(1, epochs + 1)]
    return [epoch for epoch, (before, now) in enumerate(pairwise(rates), start=2) if now < before]


def test_the_research_protocol_in_one_word() -> None:
    recipe = student("preset=crd-protocol", "teacher.model=wrn_40_2", "model=wrn_16_2", "method=dkd")
    assert (recipe.epochs, recipe.batch_size, recipe.optim.lr, recipe.optim.weight_decay) == (240, 64, 0.05, 5e-4)
    assert recipe.schedule.name == "step"
    assert falls(recipe, 240) == [151, 181, 211]
    assert terms(recipe)["dkd"]["nontarget_weight"] == 6.0
    assert student("preset=crd-protocol", "model=MobileNetV2").optim.lr == 0.01


def test_ones_own_keys_win() -> None:
    words = ["preset=crd-protocol", "teacher.model=wrn_40_2", "model=wrn_16_2", "method=dkd"]
    recipe = student(*words, "method.nontarget_weight=3", "epochs=5", "optim.lr=0.2")
    assert terms(recipe)["dkd"]["nontarget_weight"] == 3.0
    assert (recipe.epochs, recipe.optim.lr, recipe.optim.momentum) == (5, 0.2, 0.9)


def test_a_protocol_of_another_length_keeps_its_shape() -> None:
    words = ["preset=crd-protocol", "teacher.model=wrn_40_2", "model=wrn_16_2", "method=reviewkd"]
    recipe = student(*words, "epochs=24")
    assert falls(recipe, 24) == [16, 19, 22]
    weight = terms(recipe)["reviewkd"]["weight"]
    assert (weight["schedule"], weight["peak"], 24 * weight["over"]) == ("warmup", 5.0, pytest.approx(2))


def test_a_pair_without_weights_of_its_own_has_the_methods(tmp_path: Path) -> None:
    recipe = student("preset=crd-protocol", "teacher.model=resnet32x4", "model=resnet8", "method=dkd")
    assert terms(recipe)["dkd"]["nontarget_weight"] == 8.0


def test_the_teachers_network_is_read_from_its_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(made_config(model={"name": "vgg13"})))
    words = ["preset=crd-protocol", "data=cifar100", f"teacher={tmp_path}", "model=vgg8", "method=dkd"]
    assert terms(make_recipe(DistillRecipe, overrides=words, network_of=network_of))["dkd"]["nontarget_weight"] == 6.0


def test_the_soteacher_protocol() -> None:
    teacher = make_recipe(TeachRecipe, overrides=["preset=soteacher-protocol", "data=cifar100", "model=wrn_40_2"])
    assert teacher.objective.name == "soteacher"
    own = ["preset=soteacher-protocol", "data=cifar100", "model=wrn_40_2", "objective=brier"]
    assert make_recipe(TeachRecipe, overrides=own).objective.name == "brier"
    weights = terms(student("preset=soteacher-protocol", "model=wrn_40_1"))
    assert (weights["kd"]["weight"], weights["cross_entropy"]["weight"]) == (0.5, 0.5)


def test_the_fine_tuning_protocol() -> None:
    words = ["preset=mcmi", "data=cifar100", "start_from=runs/ce"]
    recipe = make_recipe(TeachRecipe, overrides=[*words, "model=wrn_40_2"])
    assert (recipe.objective.name, recipe.epochs, recipe.batch_size) == ("mcmi", 20, 64)
    assert (recipe.schedule.name, recipe.optim.lr, recipe.optim.weight_decay) == ("cosine", 0.05, 5e-4)
    assert make_recipe(TeachRecipe, overrides=[*words, "model=ShuffleV1"]).optim.lr == 0.005
    with pytest.raises(UsageError, match="objective mcmi needs start_from=RUN_FOLDER"):
        make_recipe(TeachRecipe, overrides=["preset=mcmi", "data=cifar100", "model=wrn_40_2"])


def test_what_a_name_implies_elsewhere() -> None:
    assert student("model=resnet8", "method=dot").optim.name == "dot"
    matching = student("model=resnet8", "method=function_matching")
    assert matching.inputs.name == "function_matching"
    assert list(terms(matching)) == ["function_matching"]
    assert terms(matching)["function_matching"]["temperature"] == 1.0
    assert student("model=resnet8", "method=function_matching", "inputs=real").inputs.name == "real"


def test_kd_plus_and_its_search_by_name_or_as_published() -> None:
    plain = student("model=resnet8", "method=kd_plus")
    assert (plain.inputs.name, plain.inputs.hyperparameters) == ("kd_plus", {})
    searched = student("model=resnet8", "method=pe_bkd", "inputs.alpha=0.5")
    assert searched.inputs.hyperparameters == {"search": True, "alpha": 0.5}
    assert student("model=resnet8", "method=pe_bkd", "inputs=mixup").inputs.hyperparameters == {}
    published = student("model=resnet8", "method=pe_bkd", "preset=pe-bkd-protocol")
    expected = {"search": True, "real_share": 0.3, "match": "real_batches", "search_every": 50 / 240}
    assert published.inputs.hyperparameters == expected
    assert (published.epochs, published.optim.weight_decay) == (240, 1e-4)
    assert student("model=resnet8", "method=rco").teacher.anchors == "kept"


@pytest.mark.parametrize("method", ["kd_plus", "pe_bkd"])
@pytest.mark.parametrize(
    ("teacher", "model", "share", "alphas", "alpha"),
    [
        ("wrn_40_2", "wrn_16_2", 0.3, [0.1, 0.5, 1.0], 1.0),
        ("resnet110", "resnet32", 0.3, [0.1, 0.5, 1.0], 0.1),
        ("vgg13", "vgg8", 0.3, [0.1, 1.0], 1.0),
        ("resnet32x4", "resnet8x4", 0.3, [0.1, 1.0], 0.1),
        ("ResNet50", "vgg8", 0.3, [0.1, 0.5, 1.0], 0.1),
        ("resnet32x4", "ShuffleV2", 0.1, [0.1, 1.0], 0.1),
        ("wrn_40_2", "ShuffleV1", 0.1, [0.1, 0.5, 1.0], 0.1),
    ],
)
def test_kd_plus_of_a_published_pair(
    method: str, teacher: str, model: str, share: float, alphas: list[float], alpha: float
) -> None:
    words = ["preset=pe-bkd-protocol", f"teacher.model={teacher}", f"model={model}", f"method={method}"]
    found = student(*words).inputs.hyperparameters
    assert (found["real_share"], found["alphas"], found["alpha"], found["match"]) == (
        share,
        alphas,
        alpha,
        "real_batches",
    )
    own = student(*words, "inputs.real_share=0.5", "inputs.alpha=0.7").inputs.hyperparameters
    assert (own["real_share"], own["alpha"], own["alphas"]) == (0.5, 0.7, alphas)


def test_hsakd_as_published() -> None:
    trained = make_recipe(TeachRecipe, overrides=["data=cifar100", "model=wrn_40_2", "preset=hsakd-protocol"])
    assert trained.objective.name == "hsakd_teacher"
    taught = student("model=wrn_40_1", "method=hsakd", "preset=hsakd-protocol")
    for recipe in (trained, taught):
        assert (recipe.optim.nesterov, recipe.optim.lr, recipe.optim.weight_decay) == (True, 0.05, 5e-4)
        assert (recipe.epochs, recipe.schedule.milestones) == (240, (150 / 240, 180 / 240, 210 / 240))


def test_newer_methods_have_their_weights_for_the_pair() -> None:
    words = ["preset=crd-protocol", "teacher.model=resnet32x4"]
    plus = student(*words, "model=ShuffleV2", "method=kd_pp")
    assert (terms(plus)["kd_pp"]["weight"], terms(plus)["kd"]["weight"]["peak"], plus.optim.lr) == (0.5, 4.0, 0.02)
    assert terms(student(*words, "model=resnet8x4", "method=sdd", "method.base=dkd"))["sdd"]["nontarget_weight"] == 8.0
    moved = student("preset=crd-protocol", "teacher.model=wrn_40_2", "model=ShuffleV1", "method=wkd_l")
    assert (terms(moved)["wkd_l"]["wasserstein_weight"], terms(moved)["wkd_l"]["temperature"]) == (200.0, 6.0)


def test_modern_training() -> None:
    trained = make_recipe(
        TeachRecipe, overrides=["data=cifar100", "model=wrn_16_2", "preset=modern", "data.validation=0.1"]
    )
    taught = student("model=resnet20", "method=dist", "preset=modern")
    for recipe in (trained, taught):
        assert (recipe.data.view, recipe.averaging.name, recipe.schedule.name) == ("+trivial_augment", "ema", "cosine")
        assert (recipe.epochs, recipe.batch_size, recipe.optim.lr) == (300, 128, 0.1)
    assert (trained.inputs.name, taught.inputs.name) == ("real", "function_matching")
    assert student("model=resnet20", "preset=modern", "inputs=mixup").inputs.name == "mixup"


def test_presets_name_what_there_is() -> None:
    for preset in PRESETS.values():
        assert set(preset.methods) <= {*METHODS, *PROCEDURES}
        for method, teacher, model in preset.pairs:
            assert method in {*METHODS, *PROCEDURES}
            assert {teacher, model} <= set(models.names())
            words = [f"preset={name}" for name in PRESETS if PRESETS[name] is preset]
            recipe = student(*words, f"teacher.model={teacher}", f"model={model}", f"method={method}")
            assert terms(recipe)[method]


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(UsageError, match=r"preset: unknown name 'crd_protocol'; did you mean crd-protocol or"):
        student("model=resnet8", "preset=crd_protocol")
