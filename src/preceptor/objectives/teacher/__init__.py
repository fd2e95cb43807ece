"""Ways of training a network on labels: base losses and regularisers, by name, and the sums that have one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from preceptor.lazy import LazyImport, lazy_names
from preceptor.objectives.entry import Entry
from preceptor.objectives.schedules import FadeIn, FadeOut, Linear, Weight

if TYPE_CHECKING:
    from preceptor.objectives.teacher.brier import Brier, brier_loss
    from preceptor.objectives.teacher.confidence_ranking import ConfidenceRanking, confidence_ranking_loss
    from preceptor.objectives.teacher.consistency import Consistency, consistency_loss
    from preceptor.objectives.teacher.cross_entropy import CrossEntropy, cross_entropy_loss
    from preceptor.objectives.teacher.label_smoothing import LabelSmoothing, label_smoothing_loss
    from preceptor.objectives.teacher.lipschitz import Lipschitz, lipschitz_loss
    from preceptor.objectives.teacher.mcmi import MCMI, mcmi_loss

__all__ = [
    "MCMI",
    "OBJECTIVES",
    "SUMS",
    "Brier",
    "ConfidenceRanking",
    "Consistency",
    "CrossEntropy",
    "LabelSmoothing",
    "Lipschitz",
    "brier_loss",
    "confidence_ranking_loss",
    "consistency_loss",
    "cross_entropy_loss",
    "label_smoothing_loss",
    "lipschitz_loss",
    "mcmi_loss",
]

__getattr__, __dir__ = lazy_names(__name__)


def _at(place: str) -> LazyImport[Any]:
    return LazyImport(f"{__name__}.{place}")


OBJECTIVES: dict[str, Entry] = {
    "cross_entropy": Entry(_at("cross_entropy:CrossEntropy"), "-log p of the label: the usual way", 1958, "labels"),
    "label_smoothing": Entry(
        _at("label_smoothing:LabelSmoothing"), "cross-entropy with smoothed labels", 2016, "labels"
    ),
    "brier": Entry(_at("brier:Brier"), "squared error of the softmax (MSE)", 2024, "labels"),
    "lipschitz": Entry(_at("lipschitz:Lipschitz"), "bounds how fast the output changes", 2024, "weights", 1e-5),
    "confidence_ranking": Entry(
        _at("confidence_ranking:ConfidenceRanking"),
        "surer where it was right more often",
        2020,
        "memory",
        1.0,
        {"cross_entropy": 1.0},
    ),
    "mcmi": Entry(
        _at("mcmi:MCMI"),
        "tell more of a sample than its class",
        2024,
        "memory",
        -0.25,
        {"cross_entropy": 1.0},
        needs={"start_from": "RUN_FOLDER, the trained network that is fine-tuned"},
    ),
    "consistency": Entry(
        _at("consistency:Consistency"), "stay near its own earlier outputs", 2024, "memory", Linear(1.0)
    ),
}

SUMS: dict[str, Mapping[str, Weight]] = {
    "soteacher": {"cross_entropy": 1.0, "lipschitz": 1e-5, "consistency": Linear(1.0)},
    "brier_warm": {"cross_entropy": FadeOut(1.0, 0.1, 0.2), "brier": FadeIn(1.0, 0.1, 0.2)},
}
