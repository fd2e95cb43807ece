"""The next step after a message of the command line's parser."""

from __future__ import annotations

import re
from collections.abc import Sequence

from preceptor.messages import did_you_mean

__all__ = ["explained", "in_words"]

_ELSEWHERE = {  # what other tools call a verb
    **dict.fromkeys(("train", "fit", "run"), "teach trains a teacher, distill a student"),
    **dict.fromkeys(("test", "eval", "validate"), "evaluate measures a run"),
    **dict.fromkeys(("infer", "inference", "classify"), "predict"),
}


def explained(message: str, words: Sequence[str], verbs: Sequence[str]) -> str:
    """Return a message of the parser with the next step: the verb that was meant, a setting without dashes.

    Args:
        message: of the parser.
        words: of the command line.
        verbs: that there are.

    Examples:
        >>> explained("No such command 'tech'.", ["tech"], ["teach", "label"])
        "No such command 'tech'; did you mean teach?"
    """
    if command := re.match(r"No such command '(.*?)'", message):
        hint = f"; {_ELSEWHERE[command[1]]}" if command[1] in _ELSEWHERE else did_you_mean(command[1], verbs)
        return f"No such command {command[1]!r}{hint}"
    if option := re.match(r"No such option: (--[\w.-]+)", message):
        from preceptor.cli.keys import key_called  # noqa: PLC0415

        key = key_called(option[1].lstrip("-").replace("-", "_"), words)
        if key is not None:
            number = next(place for place, word in enumerate(words) if word.partition("=")[0] == option[1])
            _, equals, value = words[number].partition("=")
            following = words[number + 1] if number + 1 < len(words) else ""
            if not equals:
                value = "true" if not following or following.startswith("-") or "=" in following else following
            return f"{option[1]}: settings have no dashes; write {key}={value}"
        if words[0] in {"teach", "distill", "label"}:
            return f"{message}; settings are written key=value, and preceptor {words[0]} --help lists them"
    return message


def in_words(error: Exception) -> str:
    """Return a line for an error that nothing expected."""
    if isinstance(error, OSError) and error.strerror:  # of a file that a user names: too long a name, a read-only disk
        return f"{error.filename or 'system'}: {error.strerror}"
    return f"{type(error).__name__}: {' '.join(str(error).split())}  (--debug shows where)"
