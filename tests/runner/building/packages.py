"""What tests ask of the packages that runs have made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.runner.building.runs import Context

from penstock_runner.workflows.building.documents import Manifest


def manifest(run: Context) -> Manifest:
    return Manifest.model_validate_json(run.artifacts["package/manifest.json"])


def lay_out(runs: Iterable[Context], root: Path) -> None:
    """Every package in a folder of its own, beside its name."""
    for number, run in enumerate(runs):
        for file in run.files():
            target = root / f"{number:03}" / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.text.encode())
        (root / f"{number:03}" / "name").write_text(manifest(run).name, "utf-8")


def ruff_says(root: Path) -> str:
    """With its default rules, about all packages in their folders."""
    sources = [path.name for path in sorted(root.iterdir())]
    child = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "-q", "--config", f"src = {sources}", "."],
        cwd=root, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return child.stdout + child.stderr
