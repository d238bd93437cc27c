"""Fetches what a run made, as a user would, and tries it."""

from __future__ import annotations

import subprocess
import sys
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


def check_package(folder: Path) -> None:
    """It imports, and its own tests pass, with nothing but pytest and the standard library."""
    root = next(path.parent for path in folder.rglob("pyproject.toml"))
    package = next(path.parent for path in root.rglob("__init__.py") if "tests" not in path.parts)
    arguments = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(package.parent)!r}); import {package.name}",
    ]
    subprocess.run(arguments, check=True, timeout=60)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(root)], check=True, cwd=root, timeout=120
    )
