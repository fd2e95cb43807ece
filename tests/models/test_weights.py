from __future__ import annotations

import os
import pickle
import random
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from preceptor.errors import RunError, UsageError
from preceptor.models import create, load_weights, save_weights


def states_equal(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_safetensors_round_trip(tmp_path: Path) -> None:
    one, two = create("resnet8", num_classes=10), create("resnet8", num_classes=10)
    save_weights(one, tmp_path / "a.safetensors")
    load_weights(two, tmp_path / "a.safetensors")
    assert states_equal(one, two)


def test_the_header_keeps_short_texts(tmp_path: Path) -> None:
    save_weights(nn.Linear(2, 2), tmp_path / "a.safetensors", metadata={"dataset": "digits"})
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata.pop("preceptor_version") == version("preceptor")
    assert len(metadata.pop("preceptor_sha256")) == 64
    assert metadata == {"dataset": "digits", "format": "pt"}


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2).bfloat16())
    metadata = {key: key.upper() for key in ("größe", "a", "b", "c", "d", '"quoted"')}
    contents = set()
    for name in "abcde":
        save_weights(network, tmp_path / name, metadata=metadata)
        contents.add((tmp_path / name).read_bytes())
    (content,) = contents
    with safe_open(tmp_path / "a", "pt") as file:
        assert {key: file.metadata()[key] for key in metadata} == metadata
        for key, tensor in network.state_dict().items():
            assert file.get_tensor(key).equal(tensor), key
    assert int.from_bytes(content[:8], "little") % 8 == 0


def test_every_byte_of_an_own_file_counts(tmp_path: Path) -> None:
    network, path = nn.Linear(2, 2), tmp_path / "a.safetensors"
    save_weights(network, path)
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        with pytest.raises(UsageError, match=r"^weights .*a\.safetensors: [^\n]*damaged[^\n]*$"):
            load_weights(network, path)


def test_a_file_of_another_program_needs_no_checksum(tmp_path: Path) -> None:
    network, path = nn.Linear(2, 2), tmp_path / "a.safetensors"
    save_file(network.state_dict(), path, metadata={"format": "pt", "sha256": "other", "note": '"preceptor_sha256":"'})
    assert load_weights(nn.Linear(2, 2), path) == []


def test_shared_weights_and_other_layouts_survive(tmp_path: Path) -> None:
    first, second, third = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
    first.weight.data = first.weight.data.contiguous(memory_format=torch.channels_last)
    third.weight = second.weight
    network = nn.Sequential(first, second, third)
    assert not first.weight.is_contiguous()
    save_weights(network, tmp_path / "a.safetensors")
    other = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
    load_weights(other, tmp_path / "a.safetensors")
    assert states_equal(network, other)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_a_child_called_module_keeps_its_name(tmp_path: Path, name: str) -> None:
    one, two = nn.ModuleDict({"module": nn.Linear(2, 2)}), nn.ModuleDict({"module": nn.Linear(2, 2)})
    save_weights(one, tmp_path / name) if name.endswith("safetensors") else torch.save(
        one.state_dict(), tmp_path / name
    )
    load_weights(two, tmp_path / name)
    assert states_equal(one, two)


def test_old_torch_files_load(tmp_path: Path) -> None:
    one, two = nn.Linear(2, 3), nn.Linear(2, 3)
    torch.save({"model": one.state_dict()}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    load_weights(two, tmp_path / "a.pth")
    assert states_equal(one, two)


def test_a_write_that_the_disk_refuses_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written"):
        save_weights(nn.Linear(2, 2), tmp_path / "none" / "a.safetensors")


@pytest.mark.parametrize("wrapping", [None, "model", "state_dict", "net", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_fields_checkpoints_load_unchanged(tmp_path: Path, wrapping: str | None, prefix: str) -> None:
    one, two = create("wrn_16_1", num_classes=100), create("wrn_16_1", num_classes=100)
    state = {prefix + name: value for name, value in one.state_dict().items()}
    torch.save(state if wrapping is None else {"epoch": 240, wrapping: state, "best_acc": 75.6}, tmp_path / "a.pth")
    load_weights(two, tmp_path / "a.pth")
    assert states_equal(one, two)


def test_a_numpy_number_beside_the_weights_does_not_matter(tmp_path: Path) -> None:
    network = nn.Linear(2, 3)
    torch.save({"epoch": 240, "model": network.state_dict(), "best_acc": np.float64(75.6)}, tmp_path / "a.pth")
    other = nn.Linear(2, 3)
    load_weights(other, tmp_path / "a.pth")
    assert torch.equal(other.weight, network.weight)


def test_another_class_count_is_said_in_so_many_words(tmp_path: Path) -> None:
    save_weights(create("resnet8", num_classes=100), tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match="the file has 100 classes, the model 10"):
        load_weights(create("resnet8", num_classes=10), tmp_path / "a.safetensors")


def test_another_network_is_told_by_its_keys(tmp_path: Path) -> None:
    save_weights(create("resnet14", num_classes=10), tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match=r"30 unexpected \(layer1\.1\.bn1\.bias, .*, \.\.\.\)"):
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
        full = tmp_path / f"full.{suffix}"
        if suffix == "pth":
            torch.save(network.state_dict(), full)
        else:
            save_weights(network, full)
        (tmp_path / f"half.{suffix}").write_bytes(full.read_bytes()[: full.stat().st_size // 2])
        with pytest.raises(UsageError, match=r"cannot be read|damaged"):
            load_weights(network, tmp_path / f"half.{suffix}")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UsageError, match="holds no state dict"):
        load_weights(network, tmp_path / "list.pth")


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_a_file_cut_anywhere_is_said_to_be_damaged_in_one_line(tmp_path: Path, kind: str) -> None:
    network, full = nn.Linear(20, 20), tmp_path / "full"
    if kind == "safetensors":
        save_weights(network, full)
    else:
        torch.save(network.state_dict(), full, _use_new_zipfile_serialization=kind == "zip")
    content = full.read_bytes()
    path = tmp_path / f"cut.{'safetensors' if kind == 'safetensors' else 'pth'}"
    for length in range(0, len(content), max(len(content) // 40, 1)):
        path.write_bytes(content[:length])
        with pytest.raises(UsageError, match=r"^weights .*(damaged)[^\n]*$"):
            load_weights(network, path)


@pytest.mark.parametrize("kind", ["zip", "old"])
def test_a_file_with_changed_bytes_loads_or_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    network, path, draw = nn.Linear(2, 2), tmp_path / "a.pth", random.Random(0)
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    content, messages = path.read_bytes(), []
    for _ in range(200):
        changed = bytearray(content)
        start = draw.randrange(len(content) - 4)
        changed[start : start + draw.choice((1, 4))] = draw.randbytes(draw.choice((1, 4)))
        path.write_bytes(changed)
        try:
            load_weights(network, path)
        except UsageError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert not [message for message in messages if "\n" in message]


def test_a_whole_pickled_network_and_a_folder_are_refused(tmp_path: Path) -> None:
    torch.save({"model": nn.Linear(2, 2)}, tmp_path / "a.pth")
    with pytest.raises(
        UsageError, match=r"a.pth: holds no state dict; save one: torch.save\(network.state_dict\(\), FILE\)$"
    ):
        load_weights(nn.Linear(2, 2), tmp_path / "a.pth")
    with pytest.raises(UsageError, match="is a folder, not a file"):
        load_weights(nn.Linear(2, 2), tmp_path)
