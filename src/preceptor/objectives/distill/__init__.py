"""Things to take from a teacher, by name. Weights are those of the CRD benchmark (ICLR 2020) or the authors' own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preceptor.lazy import LazyImport, lazy_names
from preceptor.objectives.entry import Entry
from preceptor.objectives.schedules import WarmUp, Weight

if TYPE_CHECKING:
    from preceptor.objectives.distill.ab import AB, ab_loss
    from preceptor.objectives.distill.at import AT, at_loss
    from preceptor.objectives.distill.bayesian_kd import BayesianKD, bayesian_kd_loss
    from preceptor.objectives.distill.cc import CC, cc_loss
    from preceptor.objectives.distill.crd import CRD, crd_loss
    from preceptor.objectives.distill.ctkd import CTKD, ctkd_loss
    from preceptor.objectives.distill.dist import DIST, dist_loss
    from preceptor.objectives.distill.dkd import DKD, dkd_loss
    from preceptor.objectives.distill.ea_kd import EAKD, ea_kd_loss
    from preceptor.objectives.distill.ensemble import Ensemble, ensemble_loss
    from preceptor.objectives.distill.fitnet import FitNet, fitnet_loss
    from preceptor.objectives.distill.fsp import FSP, fsp_loss
    from preceptor.objectives.distill.ft import FT, ft_loss
    from preceptor.objectives.distill.hsakd import HSAKD, hsakd_loss
    from preceptor.objectives.distill.ickd import ICKD, ickd_loss
    from preceptor.objectives.distill.kd import KD, abkd_loss, divergence_loss, kd_loss
    from preceptor.objectives.distill.kd_pp import KDPP, kd_pp_loss
    from preceptor.objectives.distill.kdsvd import KDSVD, kdsvd_loss
    from preceptor.objectives.distill.ldrld import LDRLD, ldrld_loss
    from preceptor.objectives.distill.logit_std import LogitStd, logit_std_loss
    from preceptor.objectives.distill.mlkd import MLKD, mlkd_loss
    from preceptor.objectives.distill.nkd import NKD, nkd_loss
    from preceptor.objectives.distill.norm import NORM, norm_loss
    from preceptor.objectives.distill.nst import NST, nst_loss
    from preceptor.objectives.distill.ofa import OFA, ofa_loss
    from preceptor.objectives.distill.ofd import OFD, ofd_loss
    from preceptor.objectives.distill.pesf_kd import PESFKD, pesf_kd_loss
    from preceptor.objectives.distill.pkt import PKT, pkt_loss
    from preceptor.objectives.distill.reviewkd import ReviewKD, reviewkd_loss
    from preceptor.objectives.distill.rkd import RKD, rkd_loss
    from preceptor.objectives.distill.rsd import RSD, rsd_loss
    from preceptor.objectives.distill.sdd import SDD, sdd_loss, sdd_regions
    from preceptor.objectives.distill.semckd import SemCKD, semckd_loss
    from preceptor.objectives.distill.simkd import SimKD, simkd_loss
    from preceptor.objectives.distill.skd import SKD, skd_loss
    from preceptor.objectives.distill.sp import SP, sp_loss
    from preceptor.objectives.distill.srrl import SRRL, srrl_loss
    from preceptor.objectives.distill.sskd import SSKD, sskd_loss
    from preceptor.objectives.distill.ttm import TTM, ttm_loss, wttm_loss
    from preceptor.objectives.distill.vid import VID, vid_loss
    from preceptor.objectives.distill.wkd_l import WKDL, wkd_l_loss
    from preceptor.objectives.distill.wsld import WSLD, wsld_loss

__all__ = [
    "AB",
    "AT",
    "CC",
    "CRD",
    "CTKD",
    "DIST",
    "DKD",
    "EAKD",
    "FSP",
    "FT",
    "HSAKD",
    "ICKD",
    "KD",
    "KDPP",
    "KDSVD",
    "LDRLD",
    "METHODS",
    "MLKD",
    "NKD",
    "NORM",
    "NST",
    "OFA",
    "OFD",
    "PESFKD",
    "PKT",
    "RKD",
    "RSD",
    "SDD",
    "SKD",
    "SP",
    "SRRL",
    "SSKD",
    "TTM",
    "VID",
    "WKDL",
    "WSLD",
    "BayesianKD",
    "Ensemble",
    "FitNet",
    "LogitStd",
    "ReviewKD",
    "SemCKD",
    "SimKD",
    "ab_loss",
    "abkd_loss",
    "at_loss",
    "bayesian_kd_loss",
    "cc_loss",
    "crd_loss",
    "ctkd_loss",
    "dist_loss",
    "divergence_loss",
    "dkd_loss",
    "ea_kd_loss",
    "ensemble_loss",
    "fitnet_loss",
    "fsp_loss",
    "ft_loss",
    "hsakd_loss",
    "ickd_loss",
    "kd_loss",
    "kd_pp_loss",
    "kdsvd_loss",
    "ldrld_loss",
    "logit_std_loss",
    "mlkd_loss",
    "nkd_loss",
    "norm_loss",
    "nst_loss",
    "ofa_loss",
    "ofd_loss",
    "pesf_kd_loss",
    "pkt_loss",
    "reviewkd_loss",
    "rkd_loss",
    "rsd_loss",
    "sdd_loss",
    "sdd_regions",
    "semckd_loss",
    "simkd_loss",
    "skd_loss",
    "sp_loss",
    "srrl_loss",
    "sskd_loss",
    "ttm_loss",
    "vid_loss",
    "wkd_l_loss",
    "wsld_loss",
    "wttm_loss",
]

__getattr__, __dir__ = lazy_names(__name__)


def _at(place: str) -> LazyImport[Any]:
    return LazyImport(f"{__name__}.{place}")


_LABELS: dict[str, Weight] = {"cross_entropy": 1.0}
_KD: dict[str, Weight] = {"cross_entropy": 0.1}
_BOTH: dict[str, Weight] = {"cross_entropy": 1.0, "kd": 1.0}
_BLEND: dict[str, Weight] = {"cross_entropy": 0.1, "kd": 0.9}

METHODS: dict[str, Entry] = {
    "kd": Entry(_at("kd:KD"), "match the teacher's softened outputs", 2015, "logits", 0.9, _KD),
    "dkd": Entry(_at("dkd:DKD"), "KD, target and other classes apart", 2022, "logits", WarmUp(1.0), _LABELS),
    "dist": Entry(_at("dist:DIST"), "match relations, not probabilities", 2022, "logits", 2.0, _LABELS),
    "logit_std": Entry(_at("logit_std:LogitStd"), "match the logits' shape, not range", 2024, "logits", 9.0, _KD),
    "nkd": Entry(_at("nkd:NKD"), "weighted target, renormalised others", 2023, "logits", 1.0, _LABELS),
    "wsld": Entry(_at("wsld:WSLD"), "soft labels where the student lags", 2021, "logits", 2.25, _LABELS),
    "mlkd": Entry(_at("mlkd:MLKD"), "KD, relations of classes and samples", 2023, "logits", 0.9, _KD),
    "ctkd": Entry(_at("ctkd:CTKD"), "a temperature learned adversarially", 2023, "logits", 0.9, _KD),
    "ttm": Entry(_at("ttm:TTM"), "soften the teacher, not the student", 2024, "logits", 45.0, _LABELS),
    "ea_kd": Entry(_at("ea_kd:EAKD"), "undecided samples count more", 2025, "logits", 0.9, _KD),
    "ldrld": Entry(_at("ldrld:LDRLD"), "pairs of the student's first choices", 2025, "logits", 1.0, _LABELS),
    "wkd_l": Entry(_at("wkd_l:WKDL"), "transport cost between classes", 2024, "logits", 1.0, _LABELS),
    "skd": Entry(_at("skd:SKD"), "KD and the batch's similarities", 2026, "logits", 0.9, _KD),
    "sdd": Entry(_at("sdd:SDD"), "KD on regions of the last map", 2024, "maps", 0.9, _KD),
    "ensemble": Entry(_at("ensemble:Ensemble"), "several teachers at once", 2017, "logits", 0.9, _KD),
    "bayesian_kd": Entry(
        _at("bayesian_kd:BayesianKD"),
        "the mean of a posterior's teachers",
        2026,
        "logits",
        0.5,
        {"cross_entropy": 0.5},
    ),
    "pesf_kd": Entry(_at("pesf_kd:PESFKD"), "an adapter corrects the teacher", 2023, "embedding", 1.0, _LABELS),
    "rkd": Entry(_at("rkd:RKD"), "distances and angles in the batch", 2019, "embedding", 1.0, _LABELS),
    "pkt": Entry(
        _at("pkt:PKT"),
        "the same neighbours in the batch",
        2018,
        "embedding",
        30000.0,
        _LABELS,
    ),
    "cc": Entry(_at("cc:CC"), "uncorrelated errors of neighbours", 2019, "embedding", 0.02, _LABELS),
    "crd": Entry(_at("crd:CRD"), "contrast samples as the teacher does", 2020, "embedding", 0.8, _LABELS),
    "srrl": Entry(
        _at("srrl:SRRL"),
        "features its classifier reads alike",
        2021,
        "embedding",
        1.0,
        _LABELS,
    ),
    "rsd": Entry(
        _at("rsd:RSD"),
        "features that correlate one by one",
        2025,
        "embedding",
        0.1,
        _LABELS,
    ),
    "kd_pp": Entry(
        _at("kd_pp:KDPP"),
        "direction and length of features",
        2023,
        "embedding",
        2.0,
        {"cross_entropy": 1.0, "kd": WarmUp(1.0)},
    ),
    "simkd": Entry(_at("simkd:SimKD"), "reuse the teacher's classifier", 2022, "maps", 1.0),
    "fitnet": Entry(_at("fitnet:FitNet"), "regress one of the teacher's maps", 2015, "maps", 100.0, _LABELS),
    "at": Entry(_at("at:AT"), "look where the teacher looks", 2017, "maps", 1000.0, _LABELS),
    "sp": Entry(_at("sp:SP"), "find the same samples similar", 2019, "maps", 3000.0, _LABELS),
    "nst": Entry(_at("nst:NST"), "the same set of channel patterns", 2017, "maps", 50.0, _LABELS),
    "fsp": Entry(_at("fsp:FSP"), "inner products of neighbouring maps", 2017, "maps", 0.0, _LABELS),
    "kdsvd": Entry(_at("kdsvd:KDSVD"), "singular vectors of maps", 2018, "maps", 1.0, _LABELS),
    "ab": Entry(_at("ab:AB"), "neurons fire where the teacher's do", 2019, "maps", 0.0, _LABELS),
    "ft": Entry(_at("ft:FT"), "translate the teacher's paraphrase", 2018, "maps", 200.0, _LABELS),
    "vid": Entry(_at("vid:VID"), "the teacher's maps, with a variance", 2019, "maps", 1.0, _LABELS),
    "ofd": Entry(_at("ofd:OFD"), "the teacher's maps before the ReLU", 2019, "maps", 1e-3, _LABELS),
    "reviewkd": Entry(
        _at("reviewkd:ReviewKD"), "deep maps fused into shallow ones", 2021, "maps", WarmUp(5.0), _LABELS
    ),
    "ickd": Entry(_at("ickd:ICKD"), "which channels fire together", 2021, "maps", 8.0, _LABELS),
    "semckd": Entry(_at("semckd:SemCKD"), "all pairs of maps, by attention", 2021, "maps", 400.0, _BOTH),
    "norm": Entry(
        _at("norm:NORM"),
        "the last map, widened, N times over",
        2023,
        "maps",
        1.0,
        _LABELS,
    ),
    "ofa": Entry(_at("ofa:OFA"), "each stage predicts like the teacher", 2023, "maps", 1.0, _LABELS),
    "sskd": Entry(_at("sskd:SSKD"), "similarities of rotated images", 2020, "self-supervised", 1.0, _BLEND),
    "hsakd": Entry(_at("hsakd:HSAKD"), "class and rotation at every level", 2021, "self-supervised", 1.0, _LABELS),
}
