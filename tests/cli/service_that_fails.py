"""A service for the supervisor's tests: says why it cannot run, and ends."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.exit("The moon is in the wrong phase: wait for a better one.")
