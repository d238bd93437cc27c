"""Where generated code may not run, nobody pays a model for a package that could never be delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.runner.building.runs import Context, Workbench, carry_out_in, project, shop

from penstock_runner.authoring import FinalError, Workflow
from penstock_runner.workflows.agent_build.workflow import build_agent_build
from penstock_runner.workflows.agent_update.workflow import build_agent_update
from penstock_runner.workflows.building.documents import SourceFile
from penstock_runner.workflows.building.drafter.offline import OfflineDrafter
from penstock_runner.workflows.building.drafting import Workshop
from penstock_runner.workflows.building.model import Assignment, DocumentModel
from penstock_runner.workflows.building.proving import NothingRan, faults_in_proof
from penstock_runner.workflows.building.workbench import Refused
from penstock_runner.workflows.tool_build.workflow import build_tool_build


class Paid(OfflineDrafter):
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def draft(self, assignment: Assignment[DocumentModel]) -> DocumentModel:
        self.asked.append(assignment.part.stage)
        return await super().draft(assignment)


@pytest.mark.parametrize("build", [build_agent_build, build_agent_update, build_tool_build])
def test_the_first_stage_ends_the_run_with_the_reason_before_the_model_is_asked(
    build: Callable[[Workshop], Workflow],
) -> None:
    model, workbench = Paid(), Workbench(Refused("this kernel is old"))
    context = Context(project("A tool that counts the words of a text"))
    with pytest.raises(FinalError, match=r"may not run on this runner: this kernel is old\. .*PENSTOCK_SANDBOX=warn"):
        asyncio.run(carry_out_in(context, build(shop(model, workbench))))
    assert model.asked == []
    assert context.outputs == {}


@pytest.mark.anyio
async def test_a_model_is_not_asked_to_mend_what_could_not_run() -> None:
    module = SourceFile(path="counting/__init__.py", text="WORDS = 3\n")
    tests = SourceFile(path="tests/test_it.py", text="def test_it() -> None:\n    assert True\n")
    with pytest.raises(NothingRan):
        await faults_in_proof([module, tests], Workbench(Refused("this kernel is old")))
    assert await faults_in_proof([module, tests], Workbench()) == []
