from __future__ import annotations

import re
from typing import Any

import pytest

from preceptor.reports import figures

ROWS: list[dict[str, Any]] = [
    {"epoch": epoch, "accuracy": 50 + epoch + seed, "teacher": name}
    for name in ("brier", "soteacher")
    for seed in (0, 1)
    for epoch in (1, 2, 3)
]


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize("draw", [figures.lines, figures.scatter])
def test_axes_and_colours_have_their_names(draw: Any) -> None:
    svg = str(draw(ROWS, x="epoch", y="accuracy", colour="teacher", order=["brier", "soteacher"]))
    assert svg.startswith("<svg role")
    for name in ("epoch", "accuracy", "brier", "soteacher"):
        assert texts(svg).count(name) == 1, name


def test_a_reliability_diagram_draws_its_bars_and_leaves_empty_ones_out() -> None:
    bars = [
        {"count": 10, "confidence": 0.3, "accuracy": 0.2},
        {"count": 0, "confidence": 0.0, "accuracy": 0.0},
        {"count": 90, "confidence": 0.9, "accuracy": 0.7},
    ]
    svg = str(figures.reliability(bars, "a teacher"))
    assert "a teacher" in texts(svg)
    assert len(re.findall(r'aria-roledescription="circle"', svg)) == 2
    assert "http" not in re.sub(r'xmlns(:\w+)?="http[^"]*"', "", svg)
