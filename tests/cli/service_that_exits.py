"""A runner for the supervisor's tests: says that it is ready, and is then ended by one of its stages."""

from __future__ import annotations

import os
from pathlib import Path

if __name__ == "__main__":
    os.write(int(os.environ["PENSTOCK_READY"]), b".")
    with (Path(os.environ["PENSTOCK_TEST_FOLDER"]) / f"{os.environ['PENSTOCK_TEST_NAME']}.lives").open("a") as lives:
        lives.write(f"{os.getpid()}\n")
    os._exit(1)
