"""Reports: tables and self-contained pages, from run folders alone."""

from preceptor.report.assessment import print_assessments, write_assessment_page
from preceptor.report.curve import print_curve, write_curve_page
from preceptor.report.demo import BASELINE, DemoRow, DemoSummary, print_summary, summarise_demo, write_demo_page
from preceptor.report.statistics import Gain, Spread, paired_gain, spread

__all__ = [
    "BASELINE",
    "DemoRow",
    "DemoSummary",
    "Gain",
    "Spread",
    "paired_gain",
    "print_assessments",
    "print_curve",
    "print_summary",
    "spread",
    "summarise_demo",
    "write_assessment_page",
    "write_curve_page",
    "write_demo_page",
]
