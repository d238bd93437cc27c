"""An agent changed by a service: a whole update over the wire, only what is touched is asked for, and tests that fail are mended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.runner.agent_update.updates import updated
from tests.runner.building.runs import Clock, Context, Workbench, built
from tests.runner.models.service import Answer, completion, serving
from tests.runner.models.test_drafting import MODEL, NoChance

from penstock_backbone.system import SystemClock
from penstock_runner.adapters.models.choosing import choose
from penstock_runner.workflows.agent_update.documents import CodeUpdate, PromptUpdate
from penstock_runner.workflows.agent_update.parts import PARTS
from penstock_runner.workflows.building.child_workbench import ChildWorkbench, Limits
from penstock_runner.workflows.building.documents import SourceFile
from penstock_runner.workflows.building.drafting import Workshop

pytestmark = pytest.mark.anyio
CHANGE = "请更礼貌一些"


@pytest.fixture(scope="module")
def base() -> Context:
    return built("Greet people by name, and find keywords")


def wanted(body: dict[str, Any]) -> str:
    return str(body["response_format"]["json_schema"]["name"])


async def answers(base: Context) -> dict[str, str]:
    """The offline drafter's documents by the names of their schemas; the last one from the files it has changed."""
    run = await updated(base.artifacts, CHANGE)
    found = {part.output.__name__: run.outputs[part.stage] for part in PARTS[:-1]}
    prompts = {file.path for file in PromptUpdate.model_validate_json(found["PromptUpdate"]).files}
    before = {file.path: file.text for file in base.files()}
    changed = [file for file in run.files() if before.get(file.path) != file.text and file.path not in prompts]
    code = CodeUpdate(files=tuple(file for file in changed if file.path == "README.md" or file.path.endswith(".py")))
    return found | {"CodeUpdate": code.model_dump_json()}


async def test_a_package_is_changed_by_what_a_service_answers(base: Context) -> None:
    documents = await answers(base)
    bad = CodeUpdate(
        files=(SourceFile(path="tests/test_polite.py", text="def test_it() -> None:\n    assert 1 == 2\n"),)
    )
    codes = [bad.model_dump_json(), documents["CodeUpdate"]]

    def script(_: str, body: dict[str, Any]) -> Answer:
        return completion(codes.pop(0) if wanted(body) == "CodeUpdate" else documents[wanted(body)], tokens=(1000, 200))

    async with serving(script) as service:
        chosen = choose({**MODEL, "PENSTOCK_MODEL_URL": f"{service.url}/v1"}, Clock(), NoChance())
        workbench = ChildWorkbench(SystemClock(), Limits())
        run = await updated(
            base.artifacts, CHANGE, on=Workshop(chosen.drafter, workbench, Clock(), 0, chosen.resources)
        )
    asked = [wanted(body) for body in service.asked]
    assert asked == ["UpdatePlan", "RequirementsUpdate", "PromptUpdate", "CodeUpdate", "CodeUpdate"], "no tools"
    assert "assert 1 == 2" in service.asked[4]["messages"][-1]["content"]
    schema = service.asked[0]["response_format"]["json_schema"]["schema"]
    assert set(schema["properties"]) == {"summary", "touches"}
    request = service.asked[0]["messages"][1]["content"]
    assert CHANGE in request
    assert "class Agent" in request, "the model sees the files"
    assert run.usage.total == {"input_tokens": 5000, "output_tokens": 1000, "cost_microusd": 5 * 270}
    manifest = json.loads(run.artifacts["package/manifest.json"])
    assert (manifest["version"], manifest["provenance"]) == ("0.2.0", "drafted by gpt-4o-mini-test")
    assert json.loads(run.outputs["code_update"])["tests"]["failed"] == 0


async def test_a_change_set_keeps_to_its_places(base: Context) -> None:
    documents = await answers(base)
    wrong = [
        PromptUpdate(removed=("README.md",)).model_dump_json(),
        PromptUpdate(files=(SourceFile(path="tests/test_x.py", text=""),)).model_dump_json(),
        documents["PromptUpdate"],
    ]

    def script(_: str, body: dict[str, Any]) -> Answer:
        return completion(wrong.pop(0) if wanted(body) == "PromptUpdate" else documents[wanted(body)])

    async with serving(script) as service:
        chosen = choose({**MODEL, "PENSTOCK_MODEL_URL": f"{service.url}/v1"}, Clock(), NoChance())
        await updated(base.artifacts, CHANGE, on=Workshop(chosen.drafter, Workbench(), Clock()))
    told = [body["messages"][-1]["content"] for body in service.asked if wanted(body) == "PromptUpdate"]
    assert "The file 'README.md' must be in one of greet_people_name_agent/prompts/" in told[1]
    assert "The file 'tests/test_x.py' must be in one of" in told[2]
