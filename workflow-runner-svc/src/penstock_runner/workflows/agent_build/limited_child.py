"""The child's first lines: sets limits on itself, then runs pytest. Started by path, it imports nothing of ours.

limited_child.py SECONDS MEMORY_BYTES PYTEST_ARGUMENT…
"""

import contextlib
import math
import resource
import runpy
import signal
import sys

FILE_BYTES_MAX = 64 * 1024 * 1024
OPEN_FILES_MAX = 256
GRACE_SECONDS = 5


def limit(kind: int, most: int) -> None:
    """A limit that the platform does not know, or that is already lower, is left alone."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, most))


def main() -> None:
    seconds = math.ceil(float(sys.argv[1])) + GRACE_SECONDS
    limit(resource.RLIMIT_AS, int(sys.argv[2]))
    limit(resource.RLIMIT_CPU, seconds)
    limit(resource.RLIMIT_FSIZE, FILE_BYTES_MAX)
    limit(resource.RLIMIT_NOFILE, OPEN_FILES_MAX)
    limit(resource.RLIMIT_CORE, 0)
    # If the runner is killed, nobody is left to end this process: the alarm does.
    signal.alarm(seconds)
    sys.argv[:] = ["pytest", *sys.argv[3:]]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
