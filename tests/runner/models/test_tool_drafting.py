"""A tool drafted by a service: a whole build over the wire, and tests that fail go back to the model."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.runner.building.runs import Clock, Context, built, carry_out, project
from tests.runner.models.service import Answer, Service, completion, serving
from tests.runner.models.test_drafting import MODEL, NoChance

from penstock_backbone.system import SystemClock
from penstock_runner.adapters.models.choosing import choose
from penstock_runner.workflows.building.child_workbench import ChildWorkbench, Limits
from penstock_runner.workflows.building.drafting import Workshop
from penstock_runner.workflows.building.service.drafter import UnusableDraft
from penstock_runner.workflows.tool_build.parts import PARTS
from penstock_runner.workflows.tool_build.workflow import build_tool_build

pytestmark = pytest.mark.anyio
REQUIREMENT = "一个提取文本关键词的工具"


async def offline_answers() -> dict[str, str]:
    """The offline drafter's documents by the names of their schemas."""
    run = await asyncio.to_thread(lambda: built(REQUIREMENT, build=build_tool_build))
    answers = {part.output.__name__: run.outputs[part.stage] for part in PARTS}
    readme = run.artifacts["package/README.md"].decode()
    return answers | {"ToolReadme": json.dumps({"files": [{"path": "README.md", "text": readme}]})}


def wanted(body: dict[str, Any]) -> str:
    return str(body["response_format"]["json_schema"]["name"])


async def carried_out(service: Service) -> Context:
    chosen = choose({**MODEL, "PENSTOCK_MODEL_URL": f"{service.url}/v1"}, Clock(), NoChance())
    workbench = ChildWorkbench(SystemClock(), Limits())
    workflow = build_tool_build(Workshop(chosen.drafter, workbench, Clock(), 0, chosen.resources))
    assert {stage.resources for stage in workflow.stages if stage.name != "tool_validator"} == {chosen.resources}
    return await carry_out(workflow, project(REQUIREMENT))


def spoiled(document: str) -> str:
    return document.replace(
        "def test_stop_words_are_never_keywords() -> None:",
        "def test_wrong():\\n    assert 1 == 2\\n\\n\\ndef test_stop() -> None:",
    )


async def test_tests_that_fail_are_told_to_the_model_which_mends_them() -> None:
    answers = await offline_answers()
    assert spoiled(answers["ToolCode"]) != answers["ToolCode"]
    codes = [spoiled(answers["ToolCode"]), answers["ToolCode"]]

    def script(_: str, body: dict[str, Any]) -> Answer:
        name = wanted(body)
        return completion(codes.pop(0) if name == "ToolCode" else answers[name], tokens=(1000, 200))

    async with serving(script) as service:
        run = await carried_out(service)
    asked = [wanted(body) for body in service.asked]
    assert asked == ["ProjectPlan", "ToolRequirements", "ToolDesign", "ToolCode", "ToolCode", "ToolReadme"]
    complaint = service.asked[4]["messages"][-1]["content"]
    assert "The package's tests failed (exit code 1)" in complaint
    assert "assert 1 == 2" in complaint
    assert json.loads(run.outputs["tool_validator"])["tests"]["failed"] == 0
    assert run.usage.total == {"input_tokens": 6000, "output_tokens": 1200, "cost_microusd": 6 * 270}
    assert json.loads(run.artifacts["package/manifest.json"])["provenance"] == "drafted by gpt-4o-mini-test"
    assert "`<package>/__main__.py`" in service.asked[3]["messages"][0]["content"], "the stage's own prompt"


async def test_a_function_that_stays_missing_fails_the_stage_in_plain_words() -> None:
    answers = await offline_answers()
    design = answers["ToolDesign"].replace('"name":"find_keywords"', '"name":"fly"')
    assert design != answers["ToolDesign"]

    async with serving(lambda _, body: completion((answers | {"ToolDesign": design})[wanted(body)])) as service:
        with pytest.raises(UnusableDraft, match=r"usable ToolCode: '\w+/__init__.py' must offer 'fly'"):
            await carried_out(service)
