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
        "assistants between the networks",
        2020,
        "procedure",
        0.9,
        _LABELS,
        needs={"teacher.assistants": "[NAME, ...], networks between teacher and student"},
        paper="Improved Knowledge Distillation via Teacher Assistant",
    ),
    "rco": Entry(
        _KD,
        "the teacher's checkpoints in turn",
        2019,
        "procedure",
        0.9,
        _LABELS,
        implies={"teacher": {"anchors": "kept"}},
        paper="Knowledge Distillation via Route Constrained Optimization",
    ),
    "function_matching": Entry(
        _KD,
        "mixed images, no labels, patience",
        2022,
        "procedure",
        1.0,
        hyperparameters={"temperature": 1.0},
        implies={"inputs": {"name": "function_matching"}},
        paper="Knowledge distillation: A good teacher is patient and consistent",
    ),
    "kd_plus": Entry(
        _KD,
        "mixed batches between real ones",
        2021,
        "procedure",
        0.9,
        _LABELS,
        implies={"inputs": {"name": "kd_plus"}},
        paper="Can Students Outperform Teachers in Knowledge Distillation based Model Compression?",
    ),
    "pe_bkd": Entry(
        _KD,
        "mixed batches where both disagree",
        2022,
        "procedure",
        0.9,
        _LABELS,
        implies={"inputs": {"name": "kd_plus", "search": True}},
        paper="Personalized Education: Blind Knowledge Distillation",
    ),
    "dot": Entry(
        _KD,
        "an optimiser with two momenta",
        2023,
        "procedure",
        0.9,
        _LABELS,
        implies={"optim": {"name": "dot"}},
        paper="DOT: A Distillation-Oriented Trainer",
    ),
    "abkd": Entry(
        _KD,
        "alpha-beta divergence instead of KL",
        2025,
        "procedure",
        2.0,
        {"cross_entropy": 1.0},
        hyperparameters={"divergence": "alpha_beta"},
        paper="ABKD: Pursuing a Proper Allocation of the Probability Mass in Knowledge Distillation via α-β-Divergence",
    ),
    "wttm": Entry(
        METHODS["ttm"].source,
        "ttm, undecided teachers count more",
        2024,
        "procedure",
        4.0,
        {"cross_entropy": 1.0},
        hyperparameters={"weighted": True, "exponent": 0.2},
        paper="Knowledge Distillation Based on Transformed Teacher Matching",
    ),
}
