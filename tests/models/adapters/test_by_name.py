from __future__ import annotations

import pytest
import torch

from preceptor.cli import main
from preceptor.errors import UsageError
from preceptor.models import PREFIXES, Adapted, DataSpec, check_name, create, make
from preceptor.types import Vocabulary


def test_a_name_without_a_prefix_is_of_the_zoo_and_stays_as_it_is() -> None:
    torch.manual_seed(1)
    named = make("mlp", DataSpec(3, (5,)), {"widths": [4]})
    torch.manual_seed(1)
    created = create("mlp", num_classes=3, input_shape=(5,), options={"widths": [4]})
    assert not isinstance(named, Adapted)
    assert all(torch.equal(mine, its) for mine, its in zip(named.parameters(), created.parameters(), strict=True))


@pytest.mark.parametrize("name", ["mlp", "resnet8"])
def test_the_zoo_reads_no_texts(name: str) -> None:
    with pytest.raises(UsageError, match=f"model: {name} cannot read texts, .* hf:FOLDER or PKG.MODULE:FACTORY can"):
        make(name, DataSpec(2, (2, 6), vocabulary=Vocabulary(9, 0, "of a test")))


@pytest.mark.parametrize("name", ["timm:", ":factory"])
def test_half_a_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}' names no network; there are timm:NAME, torchvision:NAME, hf:PLACE"):
        make(name, DataSpec(3, (1, 8, 8)))


def test_the_list_of_models_mentions_every_prefix(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["list", "models"]) == 0
    said = capsys.readouterr().out
    assert all(prefix in said for prefix in PREFIXES)


def test_a_name_is_checked_without_making_the_network() -> None:
    check_name("mlp", {"widths": [8]})
    check_name("timm:whatever", {"any": 1})
    with pytest.raises(UsageError, match=r"model.width: unknown key"):
        check_name("mlp", {"width": 8})
    with pytest.raises(UsageError, match=r"model: 'timm:' names no network"):
        check_name("timm:", {})
