"""What the figures of one run show."""

from __future__ import annotations

import re

from preceptor.reports.run_figures import agreement_figure, confusion_figure, learning_curves, run_figures
from records import made_record


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def history(*, weighted: dict[str, float], has_validation: bool) -> list[dict[str, object]]:
    return [
        {
            "epoch": epoch,
            "train": {"loss": 1.0, "accuracy": 0.5, "weighted": weighted},
            "validation": {"accuracy": 0.4} if has_validation else {},
        }
        for epoch in (1, 2)
    ]


def test_the_loss_is_drawn_with_the_terms_that_it_is_the_sum_of() -> None:
    accuracy, loss = learning_curves(history(weighted={"kd": 0.75, "cross_entropy": 0.25}, has_validation=True))
    assert {"train", "validation"} <= {*texts(accuracy.svg)}
    assert {"loss", "kd", "cross_entropy"} <= {*texts(loss.svg)}
    assert loss.caption.endswith("which add up to it.")


def test_of_a_single_term_there_is_one_line() -> None:
    accuracy, loss = learning_curves(history(weighted={"kd": 1.0}, has_validation=False))
    assert "validation" not in texts(accuracy.svg)
    assert "kd" not in texts(loss.svg)


def test_a_small_matrix_has_its_numbers() -> None:
    figure = confusion_figure([("a", "a", 7), ("a", "b", 3), ("b", "b", 5)], ["a", "b"])
    assert {"a", "b", "7", "3", "5"} <= {*texts(figure.svg)}
    assert figure.svg.count('aria-roledescription="rect mark"') == 3  # no cell without samples


def test_of_many_classes_those_with_mistakes_are_shown() -> None:
    names = [f"class {number}" for number in range(40)]
    confusion = [(name, name, 5) for name in names] + [("class 38", "class 39", 2)]
    figure = confusion_figure(confusion, names)
    assert {"class 38", "class 39"} == {text for text in texts(figure.svg) if text.startswith("class ")}
    assert "The 2 of 40 classes" in figure.caption


def test_agreement_is_split_into_five_shares() -> None:
    counts = {"both_right": 60, "reference_right": 20, "own_right": 10, "same_mistake": 6, "other_mistake": 4}
    svg = agreement_figure(counts).svg
    assert {"both right 60.0 %", "both wrong, other classes 4.0 %"} <= {*texts(svg)}


def test_figures_are_of_what_the_run_has() -> None:
    assert [figure.name for figure in run_figures(made_record(), [])] == ["accuracy", "loss"]
