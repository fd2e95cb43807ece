from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.models import create, load_weights, save_weights


def states_equal(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_safetensors_round_trip(tmp_path: Path) -> None:
    one, two = create("resnet8", num_classes=10), create("resnet8", num_classes=10)
    save_weights(one, tmp_path / "a.safetensors")
    load_weights(two, tmp_path / "a.safetensors")
    assert states_equal(one, two)


@pytest.mark.parametrize("wrapping", [None, "model", "state_dict", "net", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_fields_checkpoints_load_unchanged(tmp_path: Path, wrapping: str | None, prefix: str) -> None:
    one, two = create("wrn_16_1", num_classes=100), create("wrn_16_1", num_classes=100)
    state = {prefix + name: value for name, value in one.state_dict().items()}
    torch.save(state if wrapping is None else {"epoch": 240, wrapping: state, "best_acc": 75.6}, tmp_path / "a.pth")
    load_weights(two, tmp_path / "a.pth")
    assert states_equal(one, two)


def test_another_class_count_is_said_in_so_many_words(tmp_path: Path) -> None:
    save_weights(create("resnet8", num_classes=100), tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match="the file has 100 classes, the model 10"):
        load_weights(create("resnet8", num_classes=10), tmp_path / "a.safetensors")


def test_another_network_is_told_by_its_keys(tmp_path: Path) -> None:
    save_weights(create("resnet14", num_classes=10), tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match=r"36 unexpected \(layer1\.1\.bn1\.bias, .*, \.\.\.\)"):
        load_weights(create("resnet8", num_classes=10), tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match=r"missing .* unexpected"):
        load_weights(create("vgg8", num_classes=10), tmp_path / "a.safetensors")
    save_weights(create("resnet8", num_classes=10), tmp_path / "b.safetensors")
    with pytest.raises(UsageError, match=r"of another shape \(conv1\.weight is \(16, 3, 3, 3\), not \(32, 3, 3, 3\)"):
        load_weights(create("resnet8x4", num_classes=10), tmp_path / "b.safetensors")


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"state_dict": Bomb(tmp_path / "boom")}))
    with pytest.raises(UsageError, match="refused"):
        load_weights(create("resnet8", num_classes=10), tmp_path / "a.pth")
    assert not (tmp_path / "boom").exists()


def test_missing_damaged_and_foreign_files(tmp_path: Path) -> None:
    network = create("resnet8", num_classes=10)
    with pytest.raises(UsageError, match="no such file"):
        load_weights(network, tmp_path / "none.pth")
    for suffix in ("safetensors", "pth"):
        whole = tmp_path / f"whole.{suffix}"
        if suffix == "pth":
            torch.save(network.state_dict(), whole)
        else:
            save_weights(network, whole)
        (tmp_path / f"half.{suffix}").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(UsageError, match=r"cannot be read|damaged"):
            load_weights(network, tmp_path / f"half.{suffix}")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UsageError, match="holds no state dict"):
        load_weights(network, tmp_path / "list.pth")
