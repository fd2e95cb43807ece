"""Things to take from a teacher, by name. Weights are those of the CRD benchmark (ICLR 2020) or the authors' own."""

from __future__ import annotations

from preceptor.objectives.distill.at import AT, at_loss
from preceptor.objectives.distill.dkd import DKD, dkd_loss
from preceptor.objectives.distill.fitnet import FitNet, fitnet_loss
from preceptor.objectives.distill.kd import KD, kd_loss
from preceptor.objectives.distill.rkd import RKD, rkd_loss
from preceptor.objectives.distill.simkd import SimKD, simkd_loss
from preceptor.objectives.entry import Entry
from preceptor.objectives.schedules import WarmUp

__all__ = [
    "AT",
    "DKD",
    "KD",
    "METHODS",
    "RKD",
    "FitNet",
    "SimKD",
    "at_loss",
    "dkd_loss",
    "fitnet_loss",
    "kd_loss",
    "rkd_loss",
    "simkd_loss",
]

_LABELS = {"cross_entropy": 1.0}

METHODS: dict[str, Entry] = {
    "kd": Entry(KD, "Distilling the Knowledge in a Neural Network", 2015, "logits", 0.9, {"cross_entropy": 0.1}),
    "dkd": Entry(DKD, "Decoupled Knowledge Distillation", 2022, "logits", WarmUp(1.0, 20), _LABELS),
    "at": Entry(AT, "Paying More Attention to Attention", 2017, "maps", 1000.0, _LABELS),
    "fitnet": Entry(FitNet, "FitNets: Hints for Thin Deep Nets", 2015, "maps", 100.0, _LABELS),
    "rkd": Entry(RKD, "Relational Knowledge Distillation", 2019, "embedding", 1.0, _LABELS),
    "simkd": Entry(SimKD, "Knowledge Distillation with the Reused Teacher Classifier", 2022, "maps", 1.0),
}
