from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import preceptor
from preceptor.data import Arrays, Data, Normalisation, from_objects, load
from preceptor.data.dataset import fingerprint


def test_normalisation() -> None:
    images = torch.tensor([[[[0, 255]], [[51, 102]]]], dtype=torch.uint8)
    shown = Normalisation((0.5, 0.2), (0.5, 0.1))(images)
    torch.testing.assert_close(shown, torch.tensor([[[[-1.0, 1.0]], [[0.0, 2.0]]]]))
    floats = torch.tensor([[3.0, 7.0]])
    assert torch.equal(Normalisation()(floats), floats)


def test_the_fingerprint_sees_every_split_and_the_shape() -> None:
    inputs, labels = torch.arange(12, dtype=torch.uint8), torch.arange(4)
    base = fingerprint(Arrays(inputs.reshape(4, 3), labels))
    assert base == fingerprint(Arrays(inputs.reshape(4, 3).clone(), labels))
    assert base != fingerprint(Arrays(inputs.reshape(4, 3, 1), labels))
    assert base != fingerprint(Arrays(inputs.reshape(4, 3), labels.flip(0)))
    assert load("digits").fingerprint != load("digits", test_limit=50).fingerprint


def test_the_truth_has_a_fingerprint_of_its_own() -> None:
    x, y = np.arange(40.0)[:, None], np.arange(40) % 2
    truth = torch.from_numpy(np.tile([0.7, 0.3], (40, 1))).float()
    other = truth.clone()
    other[3] = torch.tensor([0.6, 0.4])

    def data(train: torch.Tensor | None, test: torch.Tensor | None = None) -> Data:
        truths = {"train": train, "test": test}
        return from_objects(
            {name: Arrays(torch.from_numpy(x).float(), torch.from_numpy(y), p) for name, p in truths.items()}
        )

    plain, known, changed, tested = data(None), data(truth), data(other), data(None, truth)
    assert {each.fingerprint for each in (plain, known, changed, tested)} == {
        plain.fingerprint
    }  # networks see the same
    assert plain.truth_fingerprint is None
    found = [each.truth_fingerprint for each in (known, changed, tested)]
    assert len({*found, data(truth, truth).truth_fingerprint}) == 4
    assert data(truth.clone()).truth_fingerprint == found[0]


def test_the_summary_tells_what_is_read() -> None:
    images = (np.zeros((100, 3, 6, 5), np.uint8), np.arange(100) % 2)
    data = from_objects({"train": images, "test": images}, validation=0.1)
    assert data.summary("crop_flip") == (
        "train 90, validation 10, test 100; 2 classes; inputs 3x6x5 uint8; "
        "view crop_flip (shifts and mirrors images; data.view=...)"
    )
    assert load("digits", validation=0.15).summary("none") == (
        "train 1,222, validation 216, test 359; 10 classes; inputs 1x8x8 uint8; "
        "view none (samples as they are; data.view=...)"
    )
    vectors = (np.ones((20, 3)), np.arange(20) % 2)
    assert from_objects({"train": vectors, "test": vectors}, validation=0).summary("none") == (
        "train 20, validation 0, test 20; 2 classes; inputs 3 float32"
    )


def test_a_view_may_add_to_the_default() -> None:
    data = load("digits", validation=0.15)
    names = [data.view_named(name) for name in (None, "flip", "+trivial_augment")]
    assert names == ["none", "flip", "trivial_augment"]
    more = replace(data, view="crop_flip").view_named("+trivial_augment")
    assert more == "crop_flip+trivial_augment"
    assert "(mirrors images, color jitter; data.view=...)" in data.summary("flip+color_jitter")


def test_a_run_begins_with_the_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"name": "digits", "limit": 60, "test_limit": 20, "view": "crop_flip"}
    run = preceptor.teach(data=data, model="convnet_s", epochs=1, batch_size=30, out=tmp_path / "t")
    line = (
        "train 60, validation 20, test 20; 10 classes; inputs 1x8x8 uint8; "
        "view crop_flip (shifts and mirrors images; data.view=...)"
    )
    assert capsys.readouterr().err.splitlines()[0] == f"data       digits  {line}"
    preceptor.label(data=data, teacher=run.path, out=tmp_path / "l")
    assert next(each for each in capsys.readouterr().err.splitlines() if each.startswith("note: ")) == f"note: {line}"
