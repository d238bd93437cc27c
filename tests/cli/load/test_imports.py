"""A command must not wait for what it does not need."""

from __future__ import annotations

import subprocess
import sys


def test_a_replay_does_not_import_the_workflows_that_build() -> None:
    listing = "import sys, penstock_cli.load.show; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()
    assert "penstock_runner.workflows.replay" in modules
    assert [name for name in modules if name.startswith("penstock_runner.workflows.")] == [
        "penstock_runner.workflows.replay"
    ]
