"""Methods without a loss of their own: another method, KD but for one, and what each sets in it or elsewhere in the recipe."""

from __future__ import annotations

from preceptor.objectives.distill import METHODS
from preceptor.objectives.entry import Entry

__all__ = ["PROCEDURES"]

_KD = METHODS["kd"].source
_LABELS = {"cross_entropy": 0.1}

PROCEDURES: dict[str, Entry] = {
    "takd": Entry(
        _KD,
        "Improved Knowledge Distillation via Teacher Assistant",
        2020,
        "procedure",
        0.9,
        _LABELS,
        needs={"teacher.assistants": "[NAME, ...], networks between teacher and student"},
    ),
    "rco": Entry(
        _KD,
        "Knowledge Distillation via Route Constrained Optimization",
        2019,
        "procedure",
        0.9,
        _LABELS,
        implies={"teacher": {"anchors": "kept"}},
    ),
    "function_matching": Entry(
        _KD,
        "Knowledge distillation: A good teacher is patient and consistent",
        2022,
        "procedure",
        1.0,
        hyperparameters={"temperature": 1.0},
        implies={"inputs": {"name": "function_matching"}},
    ),
    "kd_plus": Entry(
        _KD,
        "Can Students Outperform Teachers in Knowledge Distillation based Model Compression?",
        2021,
        "procedure",
        0.9,
        _LABELS,
        implies={"inputs": {"name": "kd_plus"}},
    ),
    "pe_bkd": Entry(
        _KD,
        "Personalized Education: Blind Knowledge Distillation",
        2022,
        "procedure",
        0.9,
        _LABELS,
        implies={"inputs": {"name": "kd_plus", "search": True}},
    ),
    "dot": Entry(
        _KD,
        "DOT: A Distillation-Oriented Trainer",
        2023,
        "procedure",
        0.9,
        _LABELS,
        implies={"optim": {"name": "dot"}},
    ),
    "wttm": Entry(
        METHODS["ttm"].source,
        "Knowledge Distillation Based on Transformed Teacher Matching",
        2024,
        "procedure",
        4.0,
        {"cross_entropy": 1.0},
        hyperparameters={"weighted": True, "exponent": 0.2},
    ),
}
