"""Figures as inline SVG, drawn with altair and rendered by vl-convert, for self-contained pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair
import vl_convert
from markupsafe import Markup

__all__ = ["lines", "reliability", "scatter"]

_COLOURS = [
    *("#4269d0", "#e8743b", "#2f9e6e", "#8a6fd1", "#c2417f", "#7a7f87"),
    *("#9c6b4e", "#3aa6c4", "#b59410", "#6cc5a5", "#d4688a", "#4f5d75"),
]
_BASE = "https://vega.github.io/vega-datasets/"  # which the renderer puts before a relative link
_WIDTH, _HEIGHT = 340, 230


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


def lines(rows: Sequence[Mapping[str, Any]], *, x: str, y: str, colour: str, order: Sequence[str]) -> Markup:
    """Return mean lines over seeds with a band of one standard deviation."""
    base = altair.Chart(altair.InlineData(values=list(rows)))
    horizontal, scale = altair.X(f"{x}:Q"), altair.Scale(zero=False)
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


def _colour(field: str, order: Sequence[str]) -> altair.Color:
    scale = altair.Scale(domain=list(order), range=_COLOURS[: len(order)])
    return altair.Color(f"{field}:N", scale=scale, legend=altair.Legend(title=None, orient="bottom", columns=2))


def _svg(chart: altair.Chart | altair.LayerChart, *, width: int = _WIDTH, height: int = _HEIGHT) -> Markup:
    grey = "#7d858f"
    axis: dict[str, Any] = {
        "labelColor": grey,
        "titleColor": grey,
        "gridColor": "#7d858f",
        "gridOpacity": 0.18,
        "domainColor": grey,
    }
    styled = (
        chart.properties(width=width, height=height, background="transparent")
        .configure_axis(**axis, tickColor=grey, titleFontWeight="normal")
        .configure_legend(labelColor=grey, labelLimit=300)
        .configure_title(color=grey, fontWeight="normal", fontSize=12)
        .configure_view(strokeOpacity=0)
    )
    svg: str = vl_convert.vegalite_to_svg(styled.to_dict())
    return Markup(re.sub(r"<svg ", '<svg role="img" ', svg.replace(_BASE, ""), count=1))
