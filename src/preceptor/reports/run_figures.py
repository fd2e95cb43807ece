"""The figures of one run: learning curves, confusion matrix, reliability diagram, agreement with the teacher."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from preceptor.artifacts.record import RunRecord
from preceptor.reports import figures
from preceptor.reports.table import percent

__all__ = ["RunFigure", "agreement_figure", "confusion_figure", "learning_curves", "reliability_figure", "run_figures"]

_MOST_CLASSES = 30  # of a confusion matrix whose names can be read
_OUTCOMES = {
    "both_right": "both right",
    "reference_right": "teacher right, student wrong",
    "own_right": "student right, teacher wrong",
    "same_mistake": "both wrong, same class",
    "other_mistake": "both wrong, other classes",
}
Confusion = Sequence[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class RunFigure:
    """A drawing, the sentence below it, and the name of its file."""

    name: str
    svg: Markup
    caption: str


def run_figures(record: RunRecord, confusion: Confusion) -> list[RunFigure]:
    """Return the figures of a run.

    Args:
        record: of the run.
        confusion: pairs of class and prediction with their counts; empty for multi-label data.
    """
    drawn = learning_curves(record.history)
    if confusion:
        drawn.append(confusion_figure(confusion, record.class_names))
    if record.reliability:
        drawn.append(reliability_figure(record.reliability))
    if record.teacher is not None and record.teacher.outcomes is not None:
        drawn.append(agreement_figure(record.teacher.outcomes))
    return drawn


def learning_curves(history: Sequence[Mapping[str, Any]]) -> list[RunFigure]:
    """Return accuracy over epochs, and the loss with the weighted terms that it is the sum of.

    Args:
        history: rows of metrics.jsonl.
    """
    accuracy: list[dict[str, Any]] = []
    losses: list[dict[str, Any]] = []
    for row in history:
        train, validation = row["train"], row.get("validation") or {}
        shares = (("train", train.get("accuracy")), ("validation", validation.get("accuracy")))
        accuracy += [_point(row, "accuracy %", 100 * share, name) for name, share in shares if share is not None]
        terms = train.get("weighted") or {}
        parts = {"loss": train["loss"], **(terms if len(terms) > 1 else {})}
        losses += [_point(row, "loss", value, name) for name, value in parts.items()]
    drawn = []
    if accuracy:
        caption = (
            "Accuracy: on train while training, in train mode and on augmented samples; on validation after each epoch."
        )
        drawn.append(_curve("accuracy", accuracy, "accuracy %", caption))
    caption = "Loss on train, nats per sample" + (
        ", and its weighted terms, which add up to it." if _several(losses) else "."
    )
    drawn.append(_curve("loss", losses, "loss", caption))
    return drawn


def confusion_figure(confusion: Confusion, class_names: Sequence[str]) -> RunFigure:
    """Return the confusion matrix; of many classes, those that are most often part of a mistake.

    Args:
        confusion: pairs of class and prediction with their counts.
        class_names: in the order of the matrix.
    """
    shown, rest = list(class_names), ""
    if len(shown) > _MOST_CLASSES:
        mistakes: Counter[str] = Counter()
        for name, predicted, count in confusion:
            if name != predicted:
                mistakes.update({name: count, predicted: count})
        kept = {name for name, _ in mistakes.most_common(_MOST_CLASSES)}
        shown = [name for name in shown if name in kept]
        rest = f" The {len(shown)} of {len(class_names)} classes that are most often part of a mistake."
    totals: Counter[str] = Counter()
    for name, _, count in confusion:
        totals[name] += count
    counts = {(name, predicted): count for name, predicted, count in confusion}
    rows = [
        {"class": name, "predicted": predicted, "samples": count, "share": count / totals[name]}
        for name in shown
        for predicted in shown
        if (count := counts.get((name, predicted), 0))
    ]
    svg = figures.heatmap(rows, x="predicted", y="class", order=shown)
    caption = (
        "Confusion on test: the class of a row is taken for that of a column; the stronger the colour, the larger the share "
        f"of the row.{rest}"
    )
    return RunFigure("confusion", svg, caption)


def reliability_figure(bars: Sequence[Mapping[str, Any]]) -> RunFigure:
    """Return the reliability diagram.

    Args:
        bars: of 15 equal-width bins.
    """
    caption = (
        "Accuracy over confidence on test, 15 bins; dots on the dashed line are calibrated, below it overconfident."
    )
    return RunFigure("reliability", figures.reliability(bars, ""), caption)


def agreement_figure(outcomes: Mapping[str, int]) -> RunFigure:
    """Return what student and teacher get right and wrong together.

    Args:
        outcomes: counts by name, see `assessment.outcomes`.
    """
    total = sum(outcomes.values())
    parts = {f"{words} {percent(outcomes[name] / total, 1)} %": outcomes[name] for name, words in _OUTCOMES.items()}
    caption = f"Student and teacher on the same {total:,} test samples."
    return RunFigure("agreement", figures.shares(parts), caption)


def _point(row: Mapping[str, Any], axis: str, value: float, name: str) -> dict[str, Any]:
    return {"epoch": row["epoch"], axis: value, "of": name}


def _several(rows: Sequence[Mapping[str, Any]]) -> bool:
    return len({row["of"] for row in rows}) > 1


def _curve(name: str, rows: list[dict[str, Any]], axis: str, caption: str) -> RunFigure:
    order = list(dict.fromkeys(str(row["of"]) for row in rows))
    svg = figures.lines(rows, x="epoch", y=axis, colour="of", order=order, spread=False)
    return RunFigure(name, svg, caption)
