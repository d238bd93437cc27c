"""A workflow says with a model what a request may give, and its stages get it typed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import BaseModel, Field
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_execution import of_type
from tests.runner.test_plan import problem_of

from penstock_backbone.records.projects import project_key
from penstock_backbone.records.runs import FAILED, SUCCEEDED
from penstock_backbone.vocabulary import Update
from penstock_runner.authoring import StageContext, Workflow


class Order(BaseModel):
    pages: int = Field(ge=1)
    language: str = "en"


def ordering(seen: list[Order]) -> Workflow:
    async def note(context: StageContext) -> Word:
        seen.append(context.input_as(Order))
        return Word()

    return replace(workflow(stage("note", note)), input=Order)


async def submitted(rig: Rig, asked: Workflow, text: str | None) -> str:
    run_id = await rig.ask_for(asked)
    if text is not None:
        project = (await rig.run(run_id))["project_id"]
        await rig.engine.tables.write([Update(project_key(project), {"input": text})])
    await rig.dispatch(run_id, 1)
    rig.start(asked)
    return run_id


@virtual
async def test_a_stage_gets_the_input_as_the_workflows_model(rig: Rig) -> None:
    seen: list[Order] = []
    run_id = await submitted(rig, ordering(seen), '{"pages":3}')
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert seen == [Order(pages=3, language="en")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "input/pages: Field required"),
        ('{"pages":0,"language":7}', "input/pages: Input should be greater than or equal to 1; input/language: Input should be a valid string"),
    ],
)  # fmt: skip
def test_an_input_that_does_not_fit_fails_the_run_before_its_first_stage(text: str | None, told: str) -> None:
    does_not_fit(text, told)


@virtual
async def does_not_fit(rig: Rig, text: str | None, told: str) -> None:
    seen: list[Order] = []
    run_id = await submitted(rig, ordering(seen), text)
    await rig.until_ended(run_id, state=FAILED)
    (failed,) = of_type(await rig.story(run_id), "RunFailed")
    assert (failed["error"], failed["message"]) == (
        "InvalidInput",
        f"The input does not fit the workflow sample: {told}.",
    )
    assert seen == []


def test_the_input_must_be_a_model() -> None:
    assert problem_of(replace(workflow(stage("a")), input=dict)) == (  # type: ignore[arg-type]  # the mistake under test
        "workflow sample: its input must be a pydantic model class"
    )
