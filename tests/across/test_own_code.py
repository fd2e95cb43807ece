"""One's own network, objective and method by name: used where the user names them, and else the words to add are said."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

import preceptor
from preceptor.artifacts.run_folder import RunFolder
from preceptor.cli import main
from preceptor.errors import UsageError

NAME = "own_networks:make"
SMALL = [
    "data=digits",
    "data.limit=60",
    "data.test_limit=20",
    "epochs=1",
    "batch_size=30",
    "device=cpu",
    "engine=plain",
]
MODULE = """
from torch import nn
def make(num_classes, width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, num_classes))
"""
LOSSES = """
from preceptor.objectives.base import Objective

class Sharp(Objective):
    uses_teacher = False
    def __init__(self, sharpness: float = 2.0):
        super().__init__()
        self.sharpness = sharpness
    def loss(self, step):
        logits = step.student.logits.float() * self.sharpness
        return -logits.log_softmax(1).gather(1, step.batch.labels[:, None]).mean()
"""


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run whose factory has a further key, which is not repeated, as the working directory."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("own_networks.py").write_text(MODULE)
        Image.new("L", (8, 8)).save("image.png")
        assert main(["teach", *SMALL, f"model={NAME}", "model.width=7", "keep_every=1", "out=run"]) == 0
        yield folder


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("predict run image.png", f"--model {NAME}"),
        ("evaluate run", f"model={NAME}"),
        ("assess run", f"model={NAME}"),
        ("export run --to x.safetensors", f"--model {NAME}"),
        ("distill {small} teacher=run model=convnet_s out=s", f"teacher.model={NAME}"),
        ("label data=digits data.limit=60 teacher=run out=l", f"teacher.model={NAME}"),
        ("curve run epochs=1 model=convnet_s method=kd out=c", f"teacher.model={NAME}"),
        ("teach --config run/config.yaml resume=true", f"model.name={NAME}"),
    ],
)
def test_a_verb_opens_it_where_it_is_named(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed = shlex.split(line.format(small=" ".join(SMALL)))
    assert main(typed) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"add {words}\n")
    assert main([*typed, *words.split()]) == 0


def test_a_finished_run_is_given_back_to_whoever_repeats_its_command() -> None:
    assert main(["teach", *SMALL, f"model={NAME}", "model.width=7", "keep_every=1", "out=run", "resume=true"]) == 0


def test_an_exported_file_is_opened_in_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "run", "--model", NAME, "--hub-folder", "hub", "--license", "unknown"]) == 0
    assert f'preceptor.load("FOLDER", model="{NAME}")' in Path("hub/preceptor.json").read_text().replace("\\", "")
    assert f'model="{NAME}"' in Path("hub/README.md").read_text()
    with pytest.raises(UsageError, match=f"hub: its network is {NAME}, and no file alone loads code"):
        preceptor.load("hub")
    assert (
        preceptor.load("hub", model=NAME).state_dict().keys() == preceptor.load("run", model=NAME).state_dict().keys()
    )
    with pytest.raises(UsageError, match=f"model: mlp is not the network of run folder run, which is {NAME}"):
        preceptor.load("run", model="mlp")


def test_an_assistant_of_ones_own_needs_no_second_word() -> None:
    words = [
        *SMALL,
        "teacher=run",
        f"teacher.model={NAME}",
        f"teacher.assistants=[{NAME}]",
        "method=takd",
        "model=convnet_s",
    ]
    assert main(["distill", *words, "out=assisted"]) == 0


def test_a_grid_file_names_it_and_so_does_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    Path("grid.yaml").write_text(f"fixed: {{data: digits}}\nteach: {{model: [mlp, '{NAME}'], epochs: 1}}\nout: g\n")
    assert main(["grid", "grid.yaml", "--status"]) == 2
    assert capsys.readouterr().err.endswith(f"if you trust it, add --trust {NAME}\n")
    assert main(["grid", "grid.yaml", "--status", "--trust", NAME]) == 0
    assert main(["grid", "grid.yaml", "--status", "--set", f"teach.model={NAME}"]) == 0
    assert len(preceptor.grid({"fixed": {"data": "digits"}, "teach": {"model": NAME}}, run=False).cells) == 1


def test_an_objective_and_a_method_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    Path("own_losses.py").write_text(LOSSES)
    assert main(["teach", *SMALL, "model=convnet_s", "objective=own_losses:Sharp", "out=ot", "keep_every=1"]) == 0
    section = yaml.safe_load(Path("ot/config.yaml").read_text())["objective"]
    assert section == {
        "name": "own_losses:Sharp",
        "Sharp": {"name": "own_losses:Sharp", "weight": 1.0, "sharpness": 2.0},
    }
    learn = [*SMALL, "model=convnet_s", "teacher=ot", "method=own_losses:Sharp", "method.sharpness=3"]
    learn = [*learn, "method.kd.weight=0.5"]
    assert main(["distill", *learn, "out=os"]) == 0
    train = json.loads(Path("os/metrics.jsonl").read_text().splitlines()[0])["train"]
    assert {*train["weighted"]} == {"Sharp", "kd"}
    assert "(own_losses:Sharp)" in capsys.readouterr().err
    assert main(["distill", *learn, "out=os", "resume=true"]) == 0
    for line in ("evaluate os", "assess os ot", "report os", "export os --hub-folder os-hub --license mit"):
        assert main(shlex.split(line)) == 0
    curve = ["curve", "ot", *learn[1:], "out=oc"]
    assert main([word for word in curve if not word.startswith(("teacher=", "data"))]) == 0
    capsys.readouterr()
    for words in (["--config", "os/config.yaml", "resume=true"], ["--config", "os/config.yaml", "out=other"]):
        assert main(["distill", *words]) == 2
        assert capsys.readouterr().err.endswith("if you trust it, add method.name=own_losses:Sharp\n")
        assert main(["distill", *words, "method.name=own_losses:Sharp"]) == 0
    assert RunFolder("other").read_record().test == RunFolder("os").read_record().test  # the same bits


def test_a_grid_of_ones_own_methods(capsys: pytest.CaptureFixture[str]) -> None:
    Path("own_losses.py").write_text(LOSSES)
    sections = "teach: {model: mlp, epochs: 1}\ndistill: {model: mlp, epochs: 1, method: [kd, 'own_losses:Sharp']}\n"
    Path("methods.yaml").write_text(f"fixed: {{data: digits}}\n{sections}label: {{views: 1}}\nout: gm\n")
    assert main(["grid", "methods.yaml", "--status"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: methods.yaml")
    assert said.endswith("if you trust it, add --trust own_losses:Sharp\n")
    assert main(["grid", "methods.yaml", "--status", "--trust", "own_losses:Sharp"]) == 0


def test_names_that_are_no_utf_8_and_names_too_long_are_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    odd = os.fsdecode(b"caf\xe9")
    assert main(["teach", *SMALL, "model=convnet_s", f"out={odd}"]) == 2
    assert "error: out: caf\\xe9 is no UTF-8 text" in capsys.readouterr().err
    assert main(["teach", *SMALL, "model=convnet_s", "out=plain"]) == 0
    shutil.copytree("plain", odd)
    assert main(["evaluate", odd]) == 0
    Image.new("L", (8, 8)).save(f"{odd}.png")
    assert main(["predict", odd, f"{odd}.png"]) == 0
    assert "caf\\xe9." in capsys.readouterr().out
    long = "x" * 300
    for words in (
        ["evaluate", long],
        ["predict", odd, long],
        ["predict", long, "image.png"],
        ["teach", *SMALL, "model=convnet_s", f"out={long}"],
        ["teach", *SMALL, "model=convnet_s", f"start_from={long}", "out=no"],
        ["teach", f"data=folder:{long}", "model=convnet_s", "out=no"],
        ["distill", *SMALL, f"teacher={long}", "model=convnet_s", "out=no"],
        ["export", odd, "--to", f"{long}.onnx"],
    ):
        assert main(words) in {1, 2}, words
        said = capsys.readouterr().err
        assert said.splitlines()[-1].startswith("error: "), said
        assert "--debug" not in said, said
