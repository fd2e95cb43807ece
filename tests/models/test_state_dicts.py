"""Checkpoints as the field's trainers write them; each is made here, by the library itself where it is torch's."""

from __future__ import annotations

import argparse
import functools
import pickle
from collections.abc import Callable
from pathlib import Path, PosixPath
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from preceptor.errors import UsageError
from preceptor.models import create, load_weights, save_weights
from preceptor.models.state_dicts import without_wrappers

State = dict[str, Tensor]


def network() -> nn.Module:
    return create("resnet8", num_classes=10)


def state_of(seed: int, *prefixes: str) -> State:
    """Return the weights of a network of its own, once under each prefix."""
    torch.manual_seed(seed)
    made = network()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.get_buffer("num_batches_tracked").add_(seed)
            module.get_buffer("running_mean").normal_()
    return {prefix + name: value for prefix in prefixes or ("",) for name, value in made.state_dict().items()}


def load(content: object, tmp_path: Path, **keys: str) -> tuple[State, list[str]]:
    """Return what a network holds after loading a file with such content, and the notes."""
    torch.save(content, tmp_path / "a.pth")
    loaded = network()
    notes = load_weights(loaded, tmp_path / "a.pth", **keys)
    return loaded.state_dict(), notes


def same(one: State, two: State) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


FIRST, SECOND = state_of(1), state_of(2)

OPTIMIZER = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(4)}}, "param_groups": [{"lr": 0.1}]}

PLAIN: dict[str, Callable[[], Any]] = {
    "bare": lambda: FIRST,
    "compiled": lambda: state_of(1, "_orig_mod."),
    "data parallel": lambda: state_of(1, "module."),
    "data parallel, compiled": lambda: state_of(1, "module._orig_mod."),
    "compiled, data parallel": lambda: state_of(1, "_orig_mod.module."),
    "twice data parallel": lambda: state_of(1, "module.module."),
    "one child compiled": lambda: {
        name.replace("layer1.", "layer1._orig_mod."): value for name, value in FIRST.items()
    },
    "fsdp": lambda: {f"_fsdp_wrapped_module.{name}": value for name, value in FIRST.items()},
    "model and optimizer": lambda: {"epoch": 3, "model": FIRST, "optimizer": OPTIMIZER, "loss": torch.tensor(0.3)},
    "net": lambda: {"net": FIRST, "acc": 75.6},
    "state_dict": lambda: {"state_dict": state_of(1, "module."), "arch": "resnet8", "best_acc1": torch.tensor(75.6)},
    "model_state_dict": lambda: {"model_state_dict": FIRST, "optimizer_state_dict": OPTIMIZER},
    "model_state": lambda: {"model_state": FIRST},
    "nested": lambda: {"checkpoint": {"model": {"state_dict": state_of(1, "module._orig_mod.")}}, "epoch": 2},
    "the same under two keys": lambda: {"model": FIRST, "state_dict": FIRST},
    "plain values among the tensors": lambda: {**FIRST, "epoch": 3},
    "lightning": lambda: {
        "pytorch-lightning_version": "2.2.0",
        "epoch": 4,
        "state_dict": state_of(1, "model."),
        "hyper_parameters": {
            "lr": 0.1,
            "optimizer": functools.partial(torch.optim.SGD, lr=0.1),
            "root": PosixPath("/data"),
        },
        "optimizer_states": [OPTIMIZER],
    },
    "lightning, net, compiled": lambda: {"state_dict": state_of(1, "net._orig_mod."), "hyper_parameters": {}},
    "lightning, another name": lambda: {"state_dict": state_of(1, "classifier.backbone."), "hyper_parameters": {}},
    "timm's arguments": lambda: {"state_dict": FIRST, "args": argparse.Namespace(lr=0.1, opt="sgd"), "arch": "resnet8"},
    "optimizer beside, a class of its own": lambda: {"model": FIRST, "config": Settings()},
    "a mapping of another kind": lambda: {"model": FIRST, "config": SettingsDict(lr=0.1)},
    "whole network beside": lambda: {"state_dict": FIRST, "model": nn.Linear(2, 2)},
}


class Settings:
    def __init__(self) -> None:
        self.lr = 0.1


class SettingsDict(dict[str, float]):
    def __setitem__(self, key: str, value: float) -> None:
        raise AssertionError("code of a file was run")


@pytest.mark.parametrize("kind", PLAIN)
def test_one_copy_of_the_network_loads_whatever_is_around_it_and_there_is_nothing_to_say(
    kind: str, tmp_path: Path
) -> None:
    loaded, notes = load(PLAIN[kind](), tmp_path)
    assert same(loaded, FIRST)
    assert notes == []


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "model.", "module._orig_mod."])
def test_safetensors_with_a_prefix_load(prefix: str, tmp_path: Path) -> None:
    save_file({name: value.contiguous() for name, value in state_of(1, prefix).items()}, tmp_path / "a.safetensors")
    loaded = network()
    assert load_weights(loaded, tmp_path / "a.safetensors") == []
    assert same(loaded.state_dict(), FIRST)


def test_averaged_models_of_torch_load(tmp_path: Path) -> None:
    source = network()
    source.load_state_dict(FIRST)
    for wrapped in (source, torch.compile(source)):
        average = AveragedModel(wrapped)  # type: ignore[arg-type]
        average.update_parameters(wrapped)  # type: ignore[arg-type]
        assert "n_averaged" in average.state_dict()
        loaded, notes = load({"model": average.state_dict()}, tmp_path)
        assert same(loaded, FIRST)
        assert notes == []


def test_a_compiled_network_takes_and_gives_bare_names(tmp_path: Path) -> None:
    source = network()
    source.load_state_dict(FIRST)
    compiled: nn.Module = torch.compile(source)  # type: ignore[assignment]
    save_weights(compiled, tmp_path / "a.safetensors")
    loaded = network()
    load_weights(loaded, tmp_path / "a.safetensors")
    assert same(loaded.state_dict(), FIRST)
    torch.save(SECOND, tmp_path / "b.pth")
    load_weights(compiled, tmp_path / "b.pth")
    assert same(source.state_dict(), SECOND)


@pytest.mark.parametrize(
    ("content", "trained", "averaged"),
    [
        ({"state_dict": FIRST, "state_dict_ema": SECOND}, "state_dict", "state_dict_ema"),
        ({"model_ema": SECOND, "model": FIRST}, "model", "model_ema"),
        ({"ema": state_of(2, "module."), "model": FIRST}, "model", "ema.module"),
        ({"model": FIRST, "ema_state_dict": {"decay": 0.9, "shadow": SECOND}}, "model", "ema_state_dict.shadow"),
        (
            {"model": FIRST, "swa_model": {"n_averaged": torch.tensor(3), **state_of(2, "module.")}},
            "model",
            "swa_model.module",
        ),
        (
            {"state_dict": {**state_of(1, "model."), **state_of(2, "model_ema.module.")}, "hyper_parameters": {}},
            "state_dict.model",
            "state_dict.model_ema.module",
        ),
        (
            {**state_of(1, "online_model."), **state_of(2, "ema_model."), "initted": torch.tensor(True)},
            "online_model",
            "ema_model",
        ),
    ],
    ids=["timm", "deit", "ema", "shadow", "swa", "lightning", "ema_pytorch"],
)
def test_of_trained_and_averaged_weights_the_trained_are_taken_and_a_key_takes_the_others(
    content: dict[str, Any], trained: str, averaged: str, tmp_path: Path
) -> None:
    loaded, (note,) = load(content, tmp_path, key="teacher.weights_key")
    assert same(loaded, FIRST)
    assert (
        note
        == f"weights {tmp_path / 'a.pth'}: took {trained}, not {averaged}; teacher.weights_key={averaged} takes that"
    )
    for key in (averaged, averaged.removesuffix(".module")):
        loaded, notes = load(content, tmp_path, weights_key=key)
        assert same(loaded, SECOND)
        assert notes == []


def test_an_average_without_the_trained_weights_is_taken_and_said(tmp_path: Path) -> None:
    loaded, notes = load({"state_dict_ema": FIRST, "epoch": 3}, tmp_path)
    assert same(loaded, FIRST)
    assert notes == [f"weights {tmp_path / 'a.pth'}: took state_dict_ema, an averaged copy; there is no other"]


@pytest.mark.parametrize(
    "content",
    [
        {"student": FIRST, "teacher": SECOND},
        {"model": FIRST, "best_model": SECOND},
        {"state_dict": {**state_of(1, "student."), **state_of(2, "teacher.")}, "hyper_parameters": {}},
        {"ema1": {"ema": FIRST}, "ema2": {"ema": SECOND}},
    ],
)
def test_two_networks_are_not_chosen_from_without_a_key(content: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"^weights \S+: holds this network more than once, under [^\n]*; choose with "
    ) as caught:
        load(content, tmp_path)
    key = str(caught.value).rpartition("weights_key=")[2]
    loaded, notes = load(content, tmp_path, weights_key=key)
    assert same(loaded, SECOND)
    assert notes == []


def test_a_key_that_names_nothing_is_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no weights of this network under weights_key=emma; it has them under model, ema$"
    ):
        load({"model": FIRST, "ema": SECOND}, tmp_path, weights_key="emma")


def test_what_a_lightning_module_holds_beside_the_network_is_left_out_and_counted(tmp_path: Path) -> None:
    state = {**state_of(1, "model."), "criterion.weight": torch.ones(10), "metric.total": torch.zeros(())}
    loaded, notes = load({"state_dict": state, "hyper_parameters": {"lr": 0.1}}, tmp_path)
    assert same(loaded, FIRST)
    assert notes == [
        f"weights {tmp_path / 'a.pth'}: left out 2 tensors that are not of the network (criterion.weight, metric.total)"
    ]


def test_a_network_within_a_larger_one_is_not_taken_unasked(tmp_path: Path) -> None:
    state = {**state_of(1, "backbone."), "head.weight": torch.ones(10, 10), "head.bias": torch.ones(10)}
    with pytest.raises(
        UsageError,
        match=r"holds 2 tensors beside those under backbone \(head.weight, head.bias\); weights_key=backbone takes",
    ):
        load(state, tmp_path)
    loaded, notes = load(state, tmp_path, weights_key="backbone")
    assert same(loaded, FIRST)
    assert "left out 2 tensors" in notes[0]


def test_counters_of_batch_norms_may_be_missing_or_too_many(tmp_path: Path) -> None:
    old = {name: value for name, value in FIRST.items() if not name.endswith("num_batches_tracked")}
    loaded, notes = load(old, tmp_path)
    assert same({name: loaded[name] for name in old}, old)
    assert {int(loaded[name]) for name in loaded if name not in old} == {0}
    assert notes == []
    torch.save({"0.weight": torch.ones(2, 2), "0.num_batches_tracked": torch.tensor(3)}, tmp_path / "b.pth")
    load_weights(nn.Sequential(nn.Linear(2, 2, bias=False)), tmp_path / "b.pth")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_another_precision_become_the_networks(dtype: torch.dtype, tmp_path: Path) -> None:
    cast = {name: value.to(dtype) if value.is_floating_point() else value for name, value in FIRST.items()}
    loaded, notes = load({"model": cast}, tmp_path)
    assert same(loaded, {name: value.to(FIRST[name].dtype) for name, value in cast.items()})
    assert notes == []


def test_whole_numbers_are_not_taken_for_weights(tmp_path: Path) -> None:
    quantised = {name: (100 * value).to(torch.int8) if value.ndim > 1 else value for name, value in FIRST.items()}
    with pytest.raises(UsageError, match=r"conv1.weight is \(16, 3, 3, 3\) of torch.int8, not \(16, 3, 3, 3\)"):
        load(quantised, tmp_path)


@pytest.mark.parametrize("prefix", ["module.", "model._orig_mod.", "a.b."])
def test_other_networks_are_told_by_bare_names(prefix: str, tmp_path: Path) -> None:
    other = {prefix + name: value for name, value in create("resnet8", num_classes=100).state_dict().items()}
    with pytest.raises(UsageError, match=r"do not fit ResNet: the file has 100 classes, the model 10$"):
        load({"state_dict": other}, tmp_path)
    other = {prefix + name: value for name, value in create("resnet14", num_classes=10).state_dict().items()}
    with pytest.raises(UsageError, match=r"do not fit ResNet: 30 unexpected \(layer1\.1\.bn1\.bias, "):
        load({"state_dict": other, "optimizer": OPTIMIZER}, tmp_path)


@pytest.mark.parametrize("content", [{}, {"model": {}}, {"model": Settings()}, [1], {"shadow_params": [torch.ones(2)]}])
def test_no_state_dict_is_one_line(content: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^weights \S+: holds no state dict; save one: [^\n]*$"):
        load(content, tmp_path)


def test_a_mapping_that_holds_itself_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {"model": FIRST}
    content["again"] = content
    assert same(load(content, tmp_path)[0], FIRST)


class Opened:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


class Evaluated(Opened):
    def __reduce__(self) -> tuple[object, tuple[str]]:  # type: ignore[override]
        return eval, (f"open({str(self.path)!r}, 'w')",)


class Partial(Opened):
    def __reduce__(self) -> tuple[object, tuple[object]]:  # type: ignore[override]
        return functools.partial(open, str(self.path), "w"), ()  # type: ignore[return-value]


@pytest.mark.parametrize("kind", [Opened, Evaluated, Partial])
@pytest.mark.parametrize("is_old", [False, True])
def test_nothing_in_a_file_runs_not_even_beside_good_weights(kind: type[Opened], is_old: bool, tmp_path: Path) -> None:
    content = {"model": FIRST, "args": kind(tmp_path / "boom")}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=not is_old)
    with pytest.raises(UsageError, match=r"^weights [^\n]*$"):
        load_weights(network(), tmp_path / "a.pth")
    assert not (tmp_path / "boom").exists()
    (tmp_path / "b.pth").write_bytes(pickle.dumps(content))
    with pytest.raises(UsageError, match=r"^weights [^\n]*$"):
        load_weights(network(), tmp_path / "b.pth")
    assert not (tmp_path / "boom").exists()


def test_names_lose_wrappers_only() -> None:
    assert without_wrappers("module._orig_mod.a._fsdp_wrapped_module.b") == "module.a.b"
