"""Records against their definition, and what each setting loses."""

from __future__ import annotations

import math

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.labels import Encoding
from preceptor.labels.encoding import columns

LOGITS = 5 * torch.randn(64, 100, generator=torch.Generator().manual_seed(0))


def test_float16_keeps_eleven_bits() -> None:
    encoding = Encoding(100)
    decoded = encoding.decode(columns(encoding.encode(LOGITS)))
    assert decoded.dtype == torch.float32
    assert ((decoded - LOGITS).abs() <= LOGITS.abs() * 2**-11 + 1e-7).all()
    assert decoded.equal(LOGITS.half().float())


def test_bf16_logits_come_back_to_the_bit() -> None:
    logits = LOGITS.bfloat16().float()
    assert Encoding(100).decode(columns(Encoding(100).encode(logits))).equal(logits)


def test_int8_is_off_by_half_a_step_at_most() -> None:
    encoding = Encoding(100, "int8")
    decoded = encoding.decode(columns(encoding.encode(LOGITS)))
    step = (LOGITS.amax(1) - LOGITS.amin(1)) / 255
    assert ((decoded - LOGITS).abs().amax(1) <= 0.5001 * step).all()
    assert (decoded - LOGITS).abs().max() > 0.01  # it is a quantisation indeed


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_constant_logits_survive(dtype: str) -> None:
    encoding = Encoding(10, dtype)  # type: ignore[arg-type]
    assert encoding.decode(columns(encoding.encode(torch.full((2, 10), 3.0)))).equal(torch.full((2, 10), 3.0))


def test_top_keeps_every_kept_probability_and_the_mass_of_the_rest() -> None:
    encoding = Encoding(100, "float16", top=5)
    decoded = encoding.decode(columns(encoding.encode(LOGITS)))
    exact, kept = LOGITS.double().softmax(1), decoded.double().softmax(1)
    for row in range(len(LOGITS)):
        largest = sorted(range(100), key=lambda c: -float(LOGITS[row, c]))[:5]
        rest = [c for c in range(100) if c not in largest]
        for c in largest:
            assert float(kept[row, c]) == pytest.approx(float(exact[row, c]), rel=0.03)
        mass = math.fsum(float(exact[row, c]) for c in rest)
        assert math.fsum(float(kept[row, c]) for c in rest) == pytest.approx(mass, rel=0.03)
        assert len({float(decoded[row, c]) for c in rest}) == 1


def test_a_row_by_hand() -> None:
    encoding = Encoding(4, "float16", top=2)
    decoded = encoding.decode(columns(encoding.encode(torch.tensor([[0.0, 2.0, 1.0, 0.0]]))))
    assert decoded.tolist() == [[pytest.approx(0.0, abs=1e-6), 2.0, 1.0, pytest.approx(0.0, abs=1e-6)]]


@pytest.mark.parametrize(
    ("encoding", "size"),
    [
        (Encoding(100), 200),
        (Encoding(100, "int8"), 108),
        (Encoding(1000, "float16", 16), 16 * 2 + 16 * 2 + 4),
        (Encoding(1000, "int8", 16), 8 + 16 + 16 * 2 + 4),
        (Encoding(70_000, "float16", 16), 16 * 2 + 16 * 4 + 4),
    ],
)
def test_bytes_per_sample(encoding: Encoding, size: int) -> None:
    assert encoding.bytes_per_sample == size
    assert encoding.encode(torch.zeros(1, encoding.num_classes)).nbytes == size


def test_more_than_65536_classes() -> None:
    logits = torch.zeros(1, 70_000)
    logits[0, 69_999], logits[0, 3] = 9.0, 8.0
    encoding = Encoding(70_000, "float16", 2)
    assert encoding.decode(columns(encoding.encode(logits))).topk(2).indices.tolist() == [[69_999, 3]]


def test_huge_logits_are_cut_off_where_float16_ends() -> None:
    encoding = Encoding(2)
    assert encoding.decode(columns(encoding.encode(torch.tensor([[1e9, -1e9]])))).tolist() == [[65504.0, -65504.0]]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(value: float) -> None:
    logits = torch.zeros(3, 4)
    logits[2, 1] = value
    with pytest.raises(UsageError, match="logits of row 2 are not finite"):
        Encoding(4).encode(logits)


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(UsageError, match="logits have 5 classes, the labels have 4"):
        Encoding(4).encode(torch.zeros(1, 5))


@pytest.mark.parametrize("top", [0, 10, 11])
def test_top_out_of_range_is_refused(top: int) -> None:
    with pytest.raises(UsageError, match=rf"top: {top} is not in 1\.\.9, for 10 classes"):
        Encoding(10, top=top)
