"""What the product is for: ten projects at once, a limit of five, all built, and what was built works."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.e2e import audit
from tests.e2e.packages import check_packages, fetch
from tests.e2e.product import Product

from penstock_backbone.records.runs import RunItem
from penstock_cli.demo.requests import REQUESTS

pytestmark = pytest.mark.anyio
LIMIT = 5


@pytest.fixture(scope="module")
async def demo(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> Product:
    """It has ended by itself."""
    product = Product(tmp_path_factory.mktemp("demo") / "data", command="demo")
    await product.begin()
    assert await product.ended() == 0, product.output
    return product


@pytest.fixture(scope="module")
def feed(demo: Product) -> list[audit.Change]:
    return audit.changes(demo.folder)


@pytest.fixture(scope="module")
def runs(feed: list[audit.Change]) -> list[RunItem]:
    return audit.runs(feed)


@pytest.fixture(scope="module")
async def again(demo: Product, runs: list[RunItem]) -> AsyncIterator[Product]:
    """On the demo's folder, and started once its story was read."""
    async with Product(demo.folder) as product:
        yield product


def test_the_demo_builds_ten_projects_and_never_more_than_five_at_once(
    demo: Product, feed: list[audit.Change], runs: list[RunItem]
) -> None:
    lines = demo.output.splitlines()
    assert re.fullmatch(r"10 succeeded, 0 failed in \d+\.\d s", lines[-1])
    assert any(re.search(r"waiting: 1 .*, 2 ", line) for line in lines), "nobody was seen to wait at a position"
    assert len(lines) < 250, "one line a change, not a flood"

    assert audit.most_held(feed) == audit.most_granted(feed) == LIMIT
    assert [run["state"] for run in runs] == ["succeeded"] * 10
    assert [broken for run in runs for broken in audit.broken_promises(run)] == []
    assert {run["attempt"] for run in runs} == {1}


async def test_what_the_demo_built_is_there_after_a_restart_and_works(
    runs: list[RunItem], again: Product, tmp_path: Path
) -> None:
    projects = await again.all_ended(*(run["project_id"] for run in runs))
    assert {project["status"] for project in projects} == {"completed"}
    packages = await asyncio.gather(*(fetch(again, run["pk"], tmp_path / run["pk"]) for run in runs))
    assert len(packages) == len(REQUESTS)
    check_packages(packages)


async def test_a_tool_and_an_agent_are_built_and_the_agent_is_changed(again: Product, tmp_path: Path) -> None:
    """A user lists the workflows, and changes the agent by its project's id."""
    async with again.client() as client:
        listed = (await client.get("/v1/workflows")).json()["workflows"]
    assert {one["name"]: len(one["stages"]) for one in listed} == {
        "agent_build": 9, "agent_update": 5, "tool_build": 6,
    }  # fmt: skip

    agent = await again.submit(requirement="An agent that greets people and finds keywords in documents")
    tool = await again.submit(requirement="一个计算两个日期之间天数的工具", workflow="tool_build")
    built = await again.all_ended(agent["id"], tool["id"])
    assert [project["status"] for project in built] == ["completed"] * 2, built

    asked = {"requirement": "增加一个判断情感的工具", "workflow": "agent_update"}
    change = await again.submit(**asked, input={"project": agent["id"]})
    wrong = await again.submit(**asked, input={"project": tool["id"]})
    changed, refused = await again.all_ended(change["id"], wrong["id"])
    assert changed["status"] == "completed", changed
    assert refused["status"] == "failed"
    assert "it is a tool, and agent_update changes agents" in json.dumps(refused)

    folders = {
        name: await fetch(again, project["run_id"], tmp_path / name)
        for name, project in (("tool", tool), ("changed", change))
    }
    check_packages(tuple(folders.values()))
    manifest = json.loads((folders["changed"] / "package/manifest.json").read_text())
    assert (manifest["version"], manifest["tools"][-1]) == ("0.2.0", "sentiment")
    assert "tools/sentiment.py" in (folders["changed"] / "changes.md").read_text()
    assert (
        json.loads(next((folders["tool"] / "package").glob("*/tool.json")).read_text())["functions"][0]["name"]
        == "calculate_dates"
    )
