"""The options of `preceptor predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from preceptor.cli import main


def test_words_reach_the_verb_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def verb(*arguments: object, **options: object) -> None:
        seen.extend((arguments, options))

    monkeypatch.setattr("preceptor.cli.export.predict_verb", verb)
    assert main(["predict", "run", "a text // of mine", "b.txt", "--tokenizer", "t", "--top", "2", "--json"]) == 0
    options = {"top": 2, "model": None, "tokenizer": Path("t"), "as_json": True}
    assert seen == [(Path("run"), ["a text // of mine", "b.txt"]), options]
