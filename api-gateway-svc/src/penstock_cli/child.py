"""Starts one service module as a process that cannot outlive the `penstock` that began it.

`python -m penstock_cli.child penstock_api.main`: a supervisor that was killed with SIGKILL has no last
word, so each child arranges its own end.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import threading
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """On Linux the kernel ends us; elsewhere the end of standard input, whose other end the parent holds, does."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # The parent died before the kernel was told.
    else:
        threading.Thread(target=die_at_end_of_input, daemon=True).start()


def die_at_end_of_input() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """`child PARENT_PID MODULE`. The current folder comes last in the path: a workflow of the user's is found
    there, and none of their files can stand in for a module of ours."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    die_with_parent(parent)
    sys.path.append(str(Path.cwd()))
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
