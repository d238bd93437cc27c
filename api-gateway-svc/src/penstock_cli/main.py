"""The `penstock` command. It imports nothing at first: Ctrl-C while everything is imported ends it as quietly as later."""

from __future__ import annotations

import os
import signal
import sys

INTERRUPTED = 130
"""What shells expect of a program that was ended by Ctrl-C before it was done."""


def main() -> int:
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # nothing is started or open yet
    from penstock_cli.command_line import run  # noqa: PLC0415  # this is what takes its time

    return run()


if __name__ == "__main__":
    sys.exit(main())
