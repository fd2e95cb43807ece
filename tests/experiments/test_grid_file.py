"""Grid files: what they hold, and every mistake told in one line with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.errors import UsageError
from preceptor.experiments.grid_file import parse_grid, read_grid

TEXT = """\
fixed: {data: digits, optim: {name: sgd, lr: 0.1}}
seed: [0, 1, 2]
pair:
  - {teacher.model: convnet_m, model: convnet_s}
  - {teacher.model: convnet_s, model: mlp}
size:
  - {as: short, epochs: 2}
  - {as: long, epochs: 4}
teach:
  objective: [cross_entropy, brier]
distill:
  method: [kd, {name: crd, kd.weight: 1}]
exclude: [{objective: brier, size: long}]
compare: {baseline: {objective: cross_entropy}, over: seed}
published:
  - {where: {method: kd}, accuracy: 73, std: 0.2, n: 3, source: a paper}
out: grids/mine
ranks: 2
"""


def test_a_file_is_read() -> None:
    file = parse_grid(TEXT, "g.yaml", name="g")
    assert [(each.key, each.value) for each in file.fixed] == [("data", "digits"), ("optim", "sgd"), ("optim.lr", 0.1)]
    assert (file.name, file.seeds, file.ranks) == ("g", (0, 1, 2), 2)
    assert [axis.name for axis in file.zips] == ["pair", "size"]
    assert [choice.label for axis in file.zips for choice in axis.choices] == [
        "convnet_m -> convnet_s",
        "convnet_s -> mlp",
        "short",
        "long",
    ]
    crd = file.sections["distill"][0].choices[1]
    assert [(each.key, each.value, each.place) for each in crd.settings] == [
        ("method", "crd", "distill.method[1]"),
        ("method.kd.weight", 1, "distill.method[1].kd.weight"),
    ]
    assert file.baseline is not None
    assert file.baseline.choices == {"objective": "cross_entropy"}
    (published,) = file.published
    assert (published.accuracy, published.std, published.n, published.source) == (73.0, 0.2, 3, "a paper")
    assert (file.out, file.cells) == (Path("grids/mine"), Path("grids/cells"))


def test_changes_replace_what_the_file_says() -> None:
    changes = {"seed": [7], "data.root": "/d", "distill.method": "dkd", "out": "elsewhere", "cells": "c"}
    file = parse_grid(TEXT, "g.yaml", changes)
    assert (file.seeds, file.out, file.cells) == ((7,), Path("elsewhere"), Path("c"))
    assert file.fixed[-1].key == "data.root"
    assert [choice.label for choice in file.sections["distill"][0].choices] == ["dkd"]
    with pytest.raises(UsageError, match=r"--set method: distill sets it in g.yaml; write distill.method"):
        parse_grid(TEXT, "g.yaml", {"method": "dkd"})


LEAST = "fixed: {data: digits}\ndistill: {method: kd}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fixed: {data: digits}\n", "g.yaml: teach: neither this nor distill is there"),
        ("teach: {}\nlabel: {}\n", "g.yaml:2: label: is for students"),
        (LEAST + "seeds: [1]\n", "g.yaml:3: seeds: unknown key; did you mean seed?"),
        (LEAST + "epochs: [1, 2]\n", "g.yaml:3: epochs: is a key of runs; it stands under fixed, teach or distill"),
        (LEAST + "sizes: short\n", "g.yaml:3: sizes: unknown key; other keys hold lists of mappings, which are zipped"),
        (LEAST + "pair: {model: mlp}\n", "g.yaml:3: pair: expected a list of mappings"),
        (LEAST + "pair: []\n", "g.yaml:3: pair: is an empty list"),
        (
            LEAST + "pair:\n  - {model: a}\n  - {model: a, epochs: 1}\n",
            "g.yaml:5: pair[1]: sets epochs, model, and pair[0] sets model",
        ),
        (LEAST + "pair: [{model: a}, {model: a}]\n", "g.yaml:3: pair[1]: model=a stands there twice"),
        ("distill: {method: []}", "g.yaml:1: distill.method: is an empty list"),
        ("distill:\n  method:\n  - kd\n  - kd\n", "g.yaml:4: distill.method[1]: kd stands there twice"),
        ("distill:\n  methd: kd\n", "g.yaml:2: distill.methd: unknown key; did you mean method?"),
        ("distill: [kd]\n", "g.yaml:1: distill: expected keys with values"),
        ("distill: {seed: 1}\n", "g.yaml:1: distill.seed: stands at the top level"),
        (LEAST + "seed: []\n", "g.yaml:3: seed: is an empty list"),
        (LEAST + "seed: [0, x]\n", "g.yaml:3: seed: expected whole numbers from 0 on, got 'x'"),
        (LEAST + "seed: [1, 1]\n", "g.yaml:3: seed: 1 stands there twice"),
        (LEAST + "seed: -1\n", "g.yaml:3: seed: expected whole numbers"),
        (LEAST + "exclude: {method: kd}\n", "g.yaml:3: exclude: expected a list"),
        (LEAST + "exclude: [{}]\n", "g.yaml:3: exclude[0]: names no choice"),
        (LEAST + "compare: {base: {}}\n", "g.yaml:3: compare.base: unknown key; did you mean baseline?"),
        (LEAST + "compare: {over: pair}\n", "g.yaml:3: compare.over: 'pair'; runs are paired over seed"),
        (LEAST + "published: [{accuracy: 1, source: x}]\n", "g.yaml:3: published[0]: has no where"),
        (
            LEAST + "published: [{where: {method: kd}, accuracy: high, source: x}]\n",
            "g.yaml:3: published[0].accuracy: expected a number in percent, got 'high'",
        ),
        (
            LEAST + "published: [{where: {method: kd}, accuracy: 1, source: x, n: 0}]\n",
            "g.yaml:3: published[0].n: expected a whole number from 1 on, got 0",
        ),
        (LEAST + "out: 3\n", "g.yaml:3: out: expected text, got 3"),
        (LEAST + "ranks: true\n", "g.yaml:3: ranks: expected a whole number from 1 on, got True"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_grid(text, "g.yaml")
    assert str(error.value).startswith(message)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.yaml: no such file"):
        read_grid(tmp_path / "none.yaml")
