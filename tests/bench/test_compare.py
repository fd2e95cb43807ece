"""What stops a comparison; tests/cli/test_bench.py runs a whole one."""

from __future__ import annotations

import pytest

from preceptor.bench import Job, compare
from preceptor.errors import RunError


def test_a_variant_that_fails_is_one_line() -> None:
    job = Job("convnet_s", "convnet_s", batch_size=16, num_classes=10, threads=1, variants=("auto",), root="/nowhere")
    with pytest.raises(RunError, match=r"bench: auto stopped: .*/nowhere") as caught:
        compare(job)
    assert "\n" not in str(caught.value)
