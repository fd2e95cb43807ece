"""The images of a comparison."""

from __future__ import annotations

from dataclasses import replace

import torch

from preceptor.bench import Job
from preceptor.bench.job import images

SMALL = Job("convnet_s", "convnet_s", batch_size=16, num_classes=10, threads=1)


def test_all_variants_see_full_batches_of_the_same_images() -> None:
    split, normalisation = images(replace(SMALL, batch_size=48))
    assert len(split) % 48 == 0
    assert len(split) >= 4096
    assert split.values.shape[1:] == (3, 32, 32)
    assert split.values.dtype == torch.uint8
    assert int(split.labels.max()) == 9
    assert images(replace(SMALL, batch_size=48))[0].values.equal(split.values)
    assert (len(normalisation.mean), len(normalisation.std)) == (3, 3)
