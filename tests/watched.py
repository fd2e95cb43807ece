"""A script: command lines in one process that ends at the first sign of code from a file: a call of the shell, a connection, an
import of a `canary.py`. Arguments: a JSON file of the lines by name, and the file for what each of them came to."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

HOSTILE = 99
_NEVER = {
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.startfile",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.sendto",
}
_KNOWN_PROGRAMS = {"git", "uname"}  # what a record asks of this machine
_now = [""]


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    is_import = (
        event == "exec" and Path(arguments[0].co_filename).name == "canary.py"
    )  # import_module() tells no "import"
    is_program = event == "subprocess.Popen" and Path(str(arguments[0])).name not in _KNOWN_PROGRAMS
    if event in _NEVER or is_import or is_program:
        os.write(2, f"{_now[0]}: {event} {arguments!r}\n".encode())
        os._exit(HOSTILE)


def _run(lines: dict[str, list[str]], results: Path) -> None:
    from preceptor.cli import main  # noqa: PLC0415

    with results.open("w") as written:
        for name, words in lines.items():
            _now[0], said = name, io.StringIO()
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                status = main(words)
            print(json.dumps([name, status, said.getvalue()]), file=written, flush=True)


if __name__ == "__main__":
    sys.addaudithook(_watch)
    _run(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
