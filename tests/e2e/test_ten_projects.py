"""What the product is for: ten projects at once, a limit of five, all built, and what was built works."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import audit
from tests.e2e.product import Product

from penstock_cli.demo.requests import REQUESTS

pytestmark = pytest.mark.anyio
LIMIT = 5
FILES_MAX = 200


async def test_the_demo_builds_ten_projects_and_never_more_than_five_at_once(tmp_path: Path) -> None:
    product = Product(tmp_path / "data", command="demo")
    await product.begin()
    assert await product.ended() == 0, product.output
    lines = product.output.splitlines()
    assert re.fullmatch(r"10 succeeded, 0 failed in \d+\.\d s", lines[-1])
    assert any(re.search(r"waiting: 1 .*, 2 ", line) for line in lines), "nobody was seen to wait at a position"
    assert len(lines) < 250, "one line a change, not a flood"

    feed = audit.changes(product.folder)
    runs = audit.runs(feed)
    assert audit.most_held(feed) == LIMIT
    assert [run["state"] for run in runs] == ["succeeded"] * 10
    assert [broken for run in runs for broken in audit.broken_promises(run)] == []
    assert {run["attempt"] for run in runs} == {1}

    async with Product(product.folder) as again:
        projects = await again.all_ended(*(run["project_id"] for run in runs))
        assert {project["status"] for project in projects} == {"completed"}
        packages = await asyncio.gather(*(fetch(again, run["pk"], tmp_path / run["pk"]) for run in runs))
    assert len({folder.name for folder in packages}) == len(REQUESTS)
    for folder in packages:
        check_package(folder)


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
