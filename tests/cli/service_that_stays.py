"""A service for the supervisor's tests: writes its pid and its session into a file, and stays until SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    folder = Path(os.environ["PENSTOCK_TEST_FOLDER"])
    line = f"{os.getpid()} {grandchild.pid} {os.environ.get('PENSTOCK_SESSION', '-')}"
    with (folder / f"{os.environ['PENSTOCK_TEST_NAME']}.lives").open("a") as lives:
        lives.write(line + "\n")
    signal.sigwait([signal.SIGTERM])
