"""Figures as inline SVG, drawn with altair and rendered by vl-convert, for self-contained pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair
import vl_convert
from markupsafe import Markup

__all__ = ["heatmap", "lines", "reliability", "scatter", "shares"]

_COLOURS = [
    *("#4269d0", "#e8743b", "#2f9e6e", "#8a6fd1", "#c2417f", "#7a7f87"),
    *("#9c6b4e", "#3aa6c4", "#b59410", "#6cc5a5", "#d4688a", "#4f5d75"),
]
_BASE = "https://vega.github.io/vega-datasets/"  # which the renderer puts before a relative link
_WIDTH, _HEIGHT = 340, 230
_LARGEST = 420  # a square figure
_FEW = 15  # epochs that get a dot each, classes whose cells get a number
_GREY = "#7d858f"  # text and lines, on light and dark pages


def scatter(
    rows: Sequence[Mapping[str, Any]], *, x: str, y: str, colour: str, order: Sequence[str], url: str | None = None
) -> Markup:
    """Return a scatter plot, one point per row; axes do not start at 0. `url`: where a point leads."""
    chart = altair.Chart(altair.InlineData(values=list(rows))).mark_point(filled=True, size=70, opacity=0.85)
    linked = chart if url is None else chart.encode(href=altair.Href(f"{url}:N"))
    return _svg(
        linked.encode(
            x=altair.X(f"{x}:Q", scale=altair.Scale(zero=False, padding=12)),
            y=altair.Y(f"{y}:Q", scale=altair.Scale(zero=False, padding=12)),
            color=_colour(colour, order),
            shape=altair.Shape(f"{colour}:N", sort=list(order), legend=None),
        )
    )


def lines(
    rows: Sequence[Mapping[str, Any]], *, x: str, y: str, colour: str, order: Sequence[str], spread: bool = True
) -> Markup:
    """Return mean lines over seeds with a band of one standard deviation; without `spread`, lines with a dot per row."""
    base = altair.Chart(altair.InlineData(values=list(rows)))
    horizontal, scale = altair.X(f"{x}:Q"), altair.Scale(zero=False)
    if not spread:
        horizontal = altair.X(f"{x}:Q", scale=scale, axis=altair.Axis(tickMinStep=1))
        dots = {"size": 24 if len(rows) < _FEW * len(order) else 0}
        plain = base.mark_line(strokeWidth=2, point=dots)
        return _svg(plain.encode(x=horizontal, y=altair.Y(f"{y}:Q", scale=scale), color=_colour(colour, order)))
    band = base.mark_errorband(extent="stdev", opacity=0.18).encode(
        x=horizontal, y=altair.Y(f"{y}:Q", scale=scale, title=y), color=_colour(colour, order).legend(None)
    )
    line = base.mark_line(strokeWidth=2).encode(
        x=horizontal, y=altair.Y(f"mean({y}):Q", scale=scale, title=y), color=_colour(colour, order)
    )
    return _svg((band + line).resolve_scale(color="independent"))  # else the band takes the legend away


def reliability(bars: Sequence[Mapping[str, Any]], title: str) -> Markup:
    """Return a reliability diagram: accuracy over confidence per bin, dots sized by the samples in it."""
    rows = [{**bar, "share": bar["count"]} for bar in bars if bar["count"]]
    unit = altair.Scale(domain=[0, 1])
    diagonal = altair.Chart(altair.InlineData(values=[{"c": 0, "a": 0}, {"c": 1, "a": 1}]))
    perfect = diagonal.mark_line(strokeDash=[4, 4], color="#8b929b").encode(x="c:Q", y="a:Q")
    dots = altair.Chart(altair.InlineData(values=rows)).mark_circle(color=_COLOURS[0], opacity=0.9)
    encoded = dots.encode(
        x=altair.X("confidence:Q", scale=unit, title="confidence"),
        y=altair.Y("accuracy:Q", scale=unit, title="accuracy"),
        size=altair.Size("share:Q", legend=None),
    )
    return _svg((perfect + encoded).properties(title=title), width=200, height=200)


def heatmap(rows: Sequence[Mapping[str, Any]], *, x: str, y: str, order: Sequence[str]) -> Markup:
    """Return a matrix of cells that are the more opaque the larger their `share`; with few classes, `samples` in them.

    Args:
        rows: cells that are not empty, with their x, y, `samples` and `share`.
        x: column.
        y: row.
        order: of both.
    """
    names, side = list(order), min(max(24 * len(order), 120), _LARGEST)
    label: dict[str, Any] = {
        "labelLimit": 90,
        "labelOverlap": False,
        "labelFontSize": 10 if len(names) <= 20 else 8,
        "grid": False,
    }
    scale = altair.Scale(domain=names, paddingInner=0.04, paddingOuter=0)
    across = altair.X(f"{x}:N", scale=scale, axis=altair.Axis(orient="top", labelAngle=-60, **label))
    down = altair.Y(f"{y}:N", scale=scale, axis=altair.Axis(**label))
    base = altair.Chart(altair.InlineData(values=list(rows))).encode(x=across, y=down)
    opacity = altair.Opacity("share:Q", scale=altair.Scale(domain=[0, 1], range=[0.12, 1]), legend=None)
    cells = base.mark_rect(color=_COLOURS[0]).encode(opacity=opacity)
    if len(names) > _FEW:
        return _svg(cells, width=side, height=side)
    is_dark = altair.datum.share > 0.5
    numbers = base.mark_text(fontSize=9).encode(
        text="samples:Q", color=altair.condition(is_dark, altair.value("#ffffff"), altair.value(_GREY))
    )
    return _svg(altair.LayerChart(layer=[cells, numbers]), width=side, height=side)


def shares(parts: Mapping[str, float]) -> Markup:
    """Return one bar split into parts, by name."""
    names = list(parts)
    rows = [{"part": name, "share": value, "number": number} for number, (name, value) in enumerate(parts.items())]
    chart = altair.Chart(altair.InlineData(values=rows)).mark_bar(size=34)
    return _svg(
        chart.encode(
            x=altair.X("share:Q", stack="normalize", title=None, axis=altair.Axis(format="%")),
            color=_colour("part", names, columns=1),
            order="number:Q",
        ),
        height=50,
    )


def _colour(field: str, order: Sequence[str], *, columns: int = 2) -> altair.Color:
    scale = altair.Scale(domain=list(order), range=_COLOURS[: len(order)])
    return altair.Color(f"{field}:N", scale=scale, legend=altair.Legend(title=None, orient="bottom", columns=columns))


def _svg(
    chart: altair.Chart | altair.LayerChart | altair.FacetChart, *, width: int = _WIDTH, height: int = _HEIGHT
) -> Markup:
    axis: dict[str, Any] = {
        "labelColor": _GREY,
        "titleColor": _GREY,
        "gridColor": _GREY,
        "gridOpacity": 0.18,
        "domainColor": _GREY,
    }
    styled = (
        chart.properties(width=width, height=height, background="transparent")
        .configure_axis(**axis, tickColor=_GREY, titleFontWeight="normal")
        .configure_legend(labelColor=_GREY, labelLimit=300)
        .configure_title(color=_GREY, fontWeight="normal", fontSize=12)
        .configure_view(strokeOpacity=0)
    )
    svg: str = vl_convert.vegalite_to_svg(styled.to_dict())
    return Markup(re.sub(r"<svg ", '<svg role="img" ', svg.replace(_BASE, ""), count=1))
