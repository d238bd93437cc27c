"""A user lists the workflows, has a tool and an agent built, and the agent changed by its project's id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.packages import check_packages, fetch
from tests.e2e.product import Product

pytestmark = pytest.mark.anyio


async def test_a_tool_and_an_agent_are_built_and_the_agent_is_changed(tmp_path: Path) -> None:
    async with Product(tmp_path / "data") as product:
        async with product.client() as client:
            listed = (await client.get("/v1/workflows")).json()["workflows"]
        assert {one["name"]: len(one["stages"]) for one in listed} == {
            "agent_build": 9, "agent_update": 5, "tool_build": 6,
        }  # fmt: skip

        agent = await product.submit(requirement="An agent that greets people and finds keywords in documents")
        tool = await product.submit(requirement="一个计算两个日期之间天数的工具", workflow="tool_build")
        built = await product.all_ended(agent["id"], tool["id"])
        assert [project["status"] for project in built] == ["completed"] * 2, built

        asked = {"requirement": "增加一个判断情感的工具", "workflow": "agent_update"}
        change = await product.submit(**asked, input={"project": agent["id"]})
        wrong = await product.submit(**asked, input={"project": tool["id"]})
        changed, refused = await product.all_ended(change["id"], wrong["id"])
        assert changed["status"] == "completed", changed
        assert refused["status"] == "failed"
        assert "it is a tool, and agent_update changes agents" in json.dumps(refused)

        folders = {
            name: await fetch(product, project["run_id"], tmp_path / name)
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
