"""A workflow says with a model what a request may give, and its stages get it typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, WithJsonSchema, create_model
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_execution import of_type
from tests.runner.test_plan import problem_of

from penstock_backbone.records.projects import project_key
from penstock_backbone.records.runs import FAILED, SUCCEEDED
from penstock_backbone.records.sessions import INPUT_SCHEMA_BYTES_MAX, catalog
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


class Callback(BaseModel):
    """A model that no JSON Schema describes."""

    call: Callable[[], None]


TOO_LARGE = create_model("TooLarge", word=(str, Field(description="x" * INPUT_SCHEMA_BYTES_MAX)))
NOT_JSON = create_model("NotJson", number=(float, float("nan")))


class WithASet(BaseModel):
    """Its schema is not JSON."""

    word: Annotated[str, WithJsonSchema({"enum": {"en", "de"}})]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Order, Order.model_json_schema()),
        (None, None),
        (Callback, None),
        (TOO_LARGE, None),
        (NOT_JSON, None),
        (WithASet, None),
    ],
)
def test_the_schema_of_the_input_is_announced_where_there_is_a_bearable_one(
    model: type[BaseModel] | None, said: Any
) -> None:
    announces(model, said)


@virtual
async def announces(rig: Rig, model: type[BaseModel] | None, said: Any) -> None:
    rig.start(replace(ordering([]), input=model))
    await rig.clock.sleep(1)
    (item,) = (await rig.engine.tables.query(catalog())).items
    assert ("input_schema" in item) == (said is not None)
    assert said is None or json.loads(item["input_schema"]) == said
