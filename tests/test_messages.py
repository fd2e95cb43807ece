"""Wording that messages share."""

from __future__ import annotations

from preceptor.messages import as_clock, as_duration, did_you_mean, first_difference, first_few, first_line


def test_near_names_are_suggested_nearest_first_and_in_any_case() -> None:
    assert did_you_mean("shufflev1", ["vgg8", "ShuffleV2", "ShuffleV1"]) == "; did you mean ShuffleV1 or ShuffleV2?"
    assert did_you_mean("lrr", ["lr", "lrs", "lrt", "lru"], most=1).count(" or ") == 0


def test_without_a_near_name_all_are_listed_or_something_else_is_said() -> None:
    assert did_you_mean("zzz", ["kd", "at"]) == "; there are: kd, at"
    assert did_you_mean("zzz", ["kd", "at"], otherwise="see the list") == "; see the list"
    assert did_you_mean("zzz", []) == "; there are none"


def test_lists_end_in_dots_only_where_there_is_more() -> None:
    assert first_few([1, 2, 3]) == "1, 2, 3"
    assert first_few([1, 2, 3, 4]) == "1, 2, 3, ..."
    assert first_few(["a", "b"], 1) == "a, ..."
    assert first_few([]) == ""


def test_a_missing_key_is_a_difference_to_any_value_but_none() -> None:
    assert first_difference({"a": 1, "b": None}, {"a": 1}) is None
    assert first_difference({"a": {"x": 1}}, {"a": {"x": 1, "y": [2]}}) == ("a.y", None, [2])
    assert first_difference({"a": {"x": 1}}, {"a": 3, "b": 4}) == ("a", {"x": 1}, 3)


def test_an_error_becomes_one_short_line() -> None:
    assert first_line(RuntimeError("  \n size mismatch \n at layer 3")) == "size mismatch"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(ValueError("x" * 999))) == 200


def test_durations_round_to_the_next_unit() -> None:
    assert [as_duration(seconds) for seconds in (59.96, 119.6, 3599.7)] == ["60.0 s", "2 min 00 s", "1 h 00 min"]


def test_durations_are_hours_minutes_and_seconds() -> None:
    assert [as_clock(each) for each in (0.2, 59.6, 3600, 90061)] == ["0:00:00", "0:01:00", "1:00:00", "25:01:01"]
