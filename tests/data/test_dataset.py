from __future__ import annotations

import numpy as np
import torch

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
