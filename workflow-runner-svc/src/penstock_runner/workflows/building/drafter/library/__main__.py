"""The command line: one request, one answer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from time import localtime
from urllib.request import urlopen

from .agent import load
from .tools import TOOLS
from .tools.desk import Desk

CONNECT_SECONDS = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """0: answered; 1: the request could not be served, and the message says what is missing."""
    agent = load()
    parser = argparse.ArgumentParser(prog=agent.spec["package"], description=agent.spec["title"].replace("%", "%%"))
    parser.add_argument("request", nargs="*", help="what to do; without it, the request is read from standard input")
    parser.add_argument("--file", action="append", default=[], type=Path, help="a file to work on (may be repeated)")
    parser.add_argument("--folder", default=Path(), type=Path, help="where files are saved (default: here)")
    parser.add_argument("--tool", choices=tuple(TOOLS), help="use this tool whatever the words say")
    given = parser.parse_args(arguments)
    request = " ".join(given.request) or sys.stdin.read()
    desk = Desk(
        files=tuple(given.file),
        folder=given.folder,
        today=date(*localtime()[:3]),
        open_url=partial(urlopen, timeout=CONNECT_SECONDS),
    )
    answer = agent.handle(request, desk, given.tool)
    (sys.stdout if answer.served else sys.stderr).write(answer.text + "\n")
    return 0 if answer.served else 1


if __name__ == "__main__":
    sys.exit(main())
