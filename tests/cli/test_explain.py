"""What follows the parser's own messages; whole command lines are in test___init__.py."""

from __future__ import annotations

import pytest

from preceptor.cli.explain import explained

VERBS = ("teach", "distill", "report")


@pytest.mark.parametrize(
    ("message", "words", "wanted"),
    [
        ("No such command 'reprot'.", ["reprot"], "No such command 'reprot'; did you mean report?"),
        ("No such command 'fit'.", ["fit"], "No such command 'fit'; teach trains a teacher, distill a student"),
        ("No such option: --seed", ["teach", "--seed", "3"], "--seed: settings have no dashes; write seed=3"),
        ("No such option: --seed", ["report", "--seed"], "No such option: --seed"),
        (
            "No such option: --what",
            ["teach", "--what"],
            "No such option: --what; settings are written key=value, and preceptor teach --help lists them",
        ),
        ("Missing argument 'DIR'.", ["report"], "Missing argument 'DIR'."),
    ],
)
def test_the_next_step(message: str, words: list[str], wanted: str) -> None:
    assert explained(message, words, VERBS) == wanted
