"""Ways of training a network on labels: base losses and regularisers, by name, and the sums that have one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from preceptor.lazy import LazyImport, lazy_names
from preceptor.objectives.entry import Entry
from preceptor.objectives.schedules import FadeIn, FadeOut, Linear, Weight

if TYPE_CHECKING:
    from preceptor.objectives.teacher.brier import Brier, brier_loss
    from preceptor.objectives.teacher.confidence_penalty import ConfidencePenalty, confidence_penalty_loss
    from preceptor.objectives.teacher.confidence_ranking import ConfidenceRanking, confidence_ranking_loss
    from preceptor.objectives.teacher.consistency import Consistency, consistency_loss
    from preceptor.objectives.teacher.cross_entropy import CrossEntropy, cross_entropy_loss
    from preceptor.objectives.teacher.dml import DML, dml_loss
    from preceptor.objectives.teacher.focal import Focal, focal_loss
    from preceptor.objectives.teacher.hsakd_teacher import HSAKDTeacher, hsakd_teacher_loss
    from preceptor.objectives.teacher.label_smoothing import LabelSmoothing, label_smoothing_loss
    from preceptor.objectives.teacher.lipschitz import Lipschitz, lipschitz_loss
    from preceptor.objectives.teacher.mcmi import MCMI, mcmi_loss
    from preceptor.objectives.teacher.sftn import SFTN, sftn_loss

__all__ = [
    "DML",
    "MCMI",
    "OBJECTIVES",
    "SFTN",
    "SUMS",
    "Brier",
    "ConfidencePenalty",
    "ConfidenceRanking",
    "Consistency",
    "CrossEntropy",
    "Focal",
    "HSAKDTeacher",
    "LabelSmoothing",
    "Lipschitz",
    "brier_loss",
    "confidence_penalty_loss",
    "confidence_ranking_loss",
    "consistency_loss",
    "cross_entropy_loss",
    "dml_loss",
    "focal_loss",
    "hsakd_teacher_loss",
    "label_smoothing_loss",
    "lipschitz_loss",
    "mcmi_loss",
    "sftn_loss",
]

__getattr__, __dir__ = lazy_names(__name__)


def _at(place: str) -> LazyImport[Any]:
    return LazyImport(f"{__name__}.{place}")


OBJECTIVES: dict[str, Entry] = {
    "cross_entropy": Entry(_at("cross_entropy:CrossEntropy"), "-log p of the label: the usual way", 1958, "labels"),
    "label_smoothing": Entry(
        _at("label_smoothing:LabelSmoothing"), "cross-entropy with smoothed labels", 2016, "labels"
    ),
    "confidence_penalty": Entry(
        _at("confidence_penalty:ConfidencePenalty"), "entropy of the predictions rewarded", 2017, "labels"
    ),
    "focal": Entry(_at("focal:Focal"), "leaves alone what is right already", 2020, "labels"),
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
    "dml": Entry(_at("dml:DML"), "networks that teach each other", 2018, "labels", 1.0, {"cross_entropy": 1.0}),
    "sftn": Entry(_at("sftn:SFTN"), "branches made of the student's blocks", 2021, "maps", 1.0, {"cross_entropy": 1.0}),
    "hsakd_teacher": Entry(_at("hsakd_teacher:HSAKDTeacher"), "classifiers of class and rotation", 2021, "maps"),
    "consistency": Entry(
        _at("consistency:Consistency"), "stay near its own earlier outputs", 2024, "memory", Linear(1.0)
    ),
}

SUMS: dict[str, Mapping[str, Weight]] = {
    "soteacher": {"cross_entropy": 1.0, "lipschitz": 1e-5, "consistency": Linear(1.0)},
    "brier_warm": {"cross_entropy": FadeOut(1.0, 0.5, 0.7), "brier": FadeIn(3.0, 0.5, 0.7)},
}
