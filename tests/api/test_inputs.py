"""An input that does not fit its workflow is refused at the door, with everything that is wrong, before anything is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from time import process_time
from typing import Annotated, Any, Literal

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field
from tests.api.test_bad_input import assert_problem
from tests.api.world import REQUIREMENT, STAGES, World, submitted, world

from penstock_api.domain.inputs import EXPLAINED_BYTES_MAX, misfits
from penstock_api.domain.new_project import VIOLATIONS_MAX
from penstock_backbone.records.sessions import announce_workflow
from penstock_backbone.system import SystemClock

pytestmark = pytest.mark.anyio

WORKFLOW = "digest"


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid")
    zip: str = Field(pattern=r"^\d{5}$")


class Card(BaseModel):
    kind: Literal["card"]
    number: int


class Invoice(BaseModel):
    kind: Literal["invoice"]
    address: Address


class Order(BaseModel):
    pages: int = Field(ge=1)
    language: Literal["en", "zh"] = "en"
    deadline: int | None = None
    address: Address | None = None
    tags: list[str] = Field(default=[], max_length=2)
    price: float = Field(default=1, gt=0, multiple_of=0.5)
    pay: Annotated[Card | Invoice, Field(discriminator="kind")] | None = None
    label: str = Field(default="abc", min_length=2, max_length=4)
    by: Literal["ada", "bob"] | int = "ada"
    notes: dict[str, str] = Field(default={"a": "b"}, min_length=1)


class Left(BaseModel):
    child: Left | Right | None = None
    n: int = 0


class Right(BaseModel):
    child: Left | Right | None = None
    n: int = 0


def schema_of(model: type[BaseModel]) -> str:
    return json.dumps(model.model_json_schema())


async def announce(made: World, model: type[BaseModel] | None = Order, version: str = "7") -> None:
    stages = [{"name": stage, "title": stage} for stage in STAGES]
    schema = None if model is None else schema_of(model)
    await made.write(announce_workflow(WORKFLOW, version=version, stages=stages, input_schema=schema, at=1))


async def post(client: httpx.AsyncClient, given: Any, key: str | None = None) -> httpx.Response:
    body = {"requirement": REQUIREMENT, "workflow": WORKFLOW, "input": given}
    return await client.post("/v1/projects", json=body, headers={"Idempotency-Key": key} if key else {})


FAULTS: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({}, [("#/input/pages", "is required")]),
    ({"pages": "2"}, [("#/input/pages", "must be a whole number")]),
    ({"pages": 0}, [("#/input/pages", "must be 1 or more")]),
    ({"pages": 1, "language": "fr"}, [("#/input/language", 'must be one of "en", "zh"')]),
    ({"pages": 1, "deadline": "soon"}, [("#/input/deadline", "must be a whole number or null")]),
    ({"pages": 1, "address": {}}, [("#/input/address/zip", "is required")]),
    ({"pages": 1, "address": {"zip": "1"}}, [("#/input/address/zip", r"must match the pattern ^\d{5}$")]),
    (
        {"pages": 1, "address": {"zip": "12345", "a/b": 1}},
        [("#/input/address/a~1b", "is not a field of this workflow's input")],
    ),
    ({"pages": 1, "tags": ["a", 2]}, [("#/input/tags/1", "must be a string")]),
    ({"pages": 1, "tags": ["a"] * 3}, [("#/input/tags", "must have at most 2 items")]),
    ({"pages": 1, "price": 0}, [("#/input/price", "must be more than 0")]),
    ({"pages": 1, "price": 0.7}, [("#/input/price", "must be a multiple of 0.5")]),
    ({"pages": 1, "pay": {"kind": "card", "number": "x"}}, [("#/input/pay/number", "must be a whole number")]),
    ({"pages": 1, "pay": {"kind": "cash"}}, [("#/input/pay/kind", 'must be one of "card", "invoice"')]),
    ({"pages": 1, "pay": 5}, [("#/input/pay", "must be an object")]),
    ({"pages": 1, "label": "x"}, [("#/input/label", "must have at least 2 characters")]),
    ({"pages": 1, "label": "xxxxx"}, [("#/input/label", "must have at most 4 characters")]),
    ({"pages": 1, "notes": {}}, [("#/input/notes", "must have at least 1 entry")]),
    ({"pages": 1, "by": None}, [("#/input/by", 'must be "ada", "bob" or a whole number')]),
    ({"language": "fr", "price": -1.5}, [
        ("#/input/pages", "is required"),
        ("#/input/language", 'must be one of "en", "zh"'),
        ("#/input/price", "must be more than 0"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "told"), FAULTS, ids=[json.dumps(given) for given, _ in FAULTS])
async def test_an_input_that_does_not_fit_is_explained_and_nothing_is_written(
    given: dict[str, Any], told: Sequence[tuple[str, str]]
) -> None:
    async with world() as (made, client):
        await announce(made)
        written = made.items_written
        problem = assert_problem(await post(client, given), 422, "input-misfit")
        errors = [(error["pointer"], error["message"]) for error in problem["errors"]]
        assert sorted(errors) == sorted(told)
        assert any(message in problem["detail"] for _, message in told)
        assert made.items_written == written


@pytest.mark.parametrize(
    "given",
    [
        {"pages": 1},
        {"pages": 3, "deadline": None, "address": {"zip": "12345"}, "tags": ["a", "b"], "more": "is ignored"},
        {"pages": 10**30, "pay": {"kind": "invoice", "address": {"zip": "12345"}}, "by": 7},
    ],
)
async def test_an_input_that_fits_is_accepted_and_pydantic_agrees(given: dict[str, Any]) -> None:
    Order.model_validate(given)
    async with world() as (made, client):
        await announce(made)
        assert (await post(client, given)).status_code == 201


async def test_the_same_key_finds_its_project_although_the_schema_has_changed_since() -> None:
    async with world() as (made, client):
        await announce(made, None)
        first = await post(client, {"pages": 0}, key="k")
        await announce(made)
        await made.api.parts.catalog.read_again()
        again = await post(client, {"pages": 0}, key="k")
        assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
        assert_problem(await post(client, {"pages": -1}, key="k"), 409, "idempotency-key-reused")
        assert_problem(await post(client, {"pages": 0}, key="other"), 422, "input-misfit")


async def test_the_newest_schema_decides_and_a_refusal_is_never_older_than_its_question() -> None:
    async with world() as (made, client):
        await announce(made)
        assert_problem(await post(client, {"pages": "all"}), 422, "input-misfit")
        await announce(made, Address, version="8")
        assert (await post(client, {"zip": "12345"})).status_code == 201
        assert_problem(await post(client, {"pages": 1}), 422, "input-misfit")


async def test_without_a_schema_or_with_one_that_cannot_be_read_everything_fits() -> None:
    for schema in (None, "{", '{"type": "nope"}', '{"$ref": "http://elsewhere.invalid/schema"}'):
        assert misfits(schema, {"pages": "?"}) == ()
    async with world() as (made, client):
        await announce(made, None)
        assert (await post(client, {"pages": "?"})).status_code == 201


async def test_a_retry_is_refused_with_an_input_that_does_not_fit_the_runs_own_version() -> None:
    async with world() as (made, client):
        await announce(made)
        project = await submitted(client, workflow=WORKFLOW, input={"pages": 1})
        path = f"/v1/projects/{project['id']}/retry"
        assert_problem(await client.post(path, json={"input": {"pages": 0}}), 409, "not-over")
        await made.fail(await made.claim(await made.enqueue(project["id"])), error="X", message="x")
        written = made.items_written
        problem = assert_problem(await client.post(path, json={"input": {"pages": 0}}), 422, "input-misfit")
        assert [error["pointer"] for error in problem["errors"]] == ["#/input/pages"]
        assert made.items_written == written
        await announce(made, Address, version="8")
        assert (await client.post(path, json={"input": {"pages": "as the run of version 7 likes"}})).status_code == 200
        assert (await client.post(path, json={"input": {"pages": "as the run of version 7 likes"}})).status_code == 200


class Either(BaseModel):
    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["project"]}, {"required": ["files"]}]})
    project: str | None = None
    files: dict[str, str] | None = None


async def test_what_is_needed_in_one_of_two_ways_is_named() -> None:
    (violation,) = misfits(schema_of(Either), {})
    assert (violation.pointer, violation.message) == ("#/input", "needs project or files")
    assert misfits(schema_of(Either), {"files": {}}) == ()
    (violation,) = misfits(schema_of(Either), {"project": 5})
    assert (violation.pointer, violation.message) == ("#/input/project", "must be a string or null")


async def test_the_workflows_say_what_they_ask_for() -> None:
    async with world("agent_build") as (made, client):
        await announce(made)
        first, second = (await client.get("/v1/workflows")).json()["workflows"]
        assert (first["name"], first["input_schema"]) == ("agent_build", None)
        assert (second["name"], second["input_schema"]) == (WORKFLOW, Order.model_json_schema())


async def test_models_that_hold_each_other_are_checked_quickly_and_refused_in_one_sentence() -> None:
    deep: dict[str, Any] = {"n": "deepest"}
    for _ in range(60):
        deep = {"child": deep}
    begun = process_time()
    (violation,) = misfits(schema_of(Left), deep)
    assert process_time() - begun < 1
    assert (violation.pointer, violation.message) == (
        "#/input",
        "does not fit what its workflow says in GET /v1/workflows",
    )
    assert misfits(schema_of(Left), {"child": {"child": {"n": 1}}}) == ()


async def test_of_many_faults_some_are_told_and_of_a_long_input_the_first() -> None:
    class Words(BaseModel):
        words: list[str]

    assert len(misfits(schema_of(Words), {"words": [1] * (2 * VIOLATIONS_MAX)})) == VIOLATIONS_MAX
    (only,) = misfits(schema_of(Words), {"words": ["x" * EXPLAINED_BYTES_MAX, 2, 3]})
    assert only.pointer == "#/input/words/1"


async def test_a_wrong_input_costs_one_look_at_the_catalog_and_a_right_one_none() -> None:
    async with world(clock=SystemClock()) as (made, client):
        await announce(made)
        assert (await post(client, {"pages": 1})).status_code == 201
        made.tables.calls.clear()
        assert (await post(client, {"pages": 1})).status_code == 201
        assert made.tables.calls == ["write"]
        assert (await post(client, {"pages": 0})).status_code == 422
        assert made.tables.calls == ["write", "query"]
