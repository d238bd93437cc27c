"""What the product is for: ten projects at once, a limit of five, all built, and what was built works."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from tests.e2e import audit
from tests.e2e.packages import check_packages, fetch
from tests.e2e.product import Product

from penstock_cli.demo.requests import REQUESTS

pytestmark = pytest.mark.anyio
LIMIT = 5


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
    assert audit.most_held(feed) == audit.most_granted(feed) == LIMIT
    assert [run["state"] for run in runs] == ["succeeded"] * 10
    assert [broken for run in runs for broken in audit.broken_promises(run)] == []
    assert {run["attempt"] for run in runs} == {1}

    async with Product(product.folder) as again:
        projects = await again.all_ended(*(run["project_id"] for run in runs))
        assert {project["status"] for project in projects} == {"completed"}
        packages = await asyncio.gather(*(fetch(again, run["pk"], tmp_path / run["pk"]) for run in runs))
    assert len(packages) == len(REQUESTS)
    check_packages(packages)
