"""Fetches what a run made, as a user would, and tries it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e.product import Product

FILES_MAX = 200


async def fetch(product: Product, run_id: str, folder: Path) -> Path:
    """Downloads every artifact of the run into `folder`."""
    async with product.client() as client:
        artifacts: list[dict[str, Any]] = (await client.get(f"/v1/runs/{run_id}/artifacts")).json()["artifacts"]
        assert 0 < len(artifacts) < FILES_MAX
        for artifact in artifacts:
            answer = await client.get(artifact["href"])
            assert answer.status_code == 200, answer.text
            path = folder / artifact["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(answer.content)
    return folder


def check_packages(folders: Sequence[Path]) -> None:
    """They import, under a name each, and their own tests pass, with nothing but pytest and the standard library."""
    roots = [next(path.parent for path in folder.rglob("pyproject.toml")) for folder in folders]
    names = {
        tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"][0] for root in roots
    }
    assert len(names) == len(folders)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(root) for root in roots),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    subprocess.run(
        [sys.executable, "-P", "-c", f"import {', '.join(sorted(names))}"], check=True, env=environment, timeout=60
    )
    tests = [str(root / "tests") for root in roots]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *tests],
        check=True, env=environment, cwd=folders[0], timeout=240,
    )  # fmt: skip
