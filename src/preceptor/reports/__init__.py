"""Reports: tables and self-contained pages, from run folders alone."""

from preceptor.reports.assessment import print_assessments, write_assessment_page
from preceptor.reports.curve import print_curve, write_curve_page
from preceptor.reports.demo import BASELINE, DemoRow, DemoSummary, print_summary, summarise_demo, write_demo_page
from preceptor.reports.grid_report import Report, print_report, write_report
from preceptor.reports.run_page import summarise_run, write_run_page

__all__ = [
    "BASELINE",
    "DemoRow",
    "DemoSummary",
    "Report",
    "print_assessments",
    "print_curve",
    "print_report",
    "print_summary",
    "summarise_demo",
    "summarise_run",
    "write_assessment_page",
    "write_curve_page",
    "write_demo_page",
    "write_report",
    "write_run_page",
]
