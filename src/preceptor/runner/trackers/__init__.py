"""Trackers: where a run is logged beside its own folder (`track=`)."""

from preceptor.runner.trackers.base import Tracking
from preceptor.runner.trackers.choose import check_trackers, make_tracking

__all__ = ["Tracking", "check_trackers", "make_tracking"]
