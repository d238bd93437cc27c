"""Limits through the API: read, changed, paused, never overwritten unseen, and every change on record."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.api.test_bad_input import assert_problem
from tests.api.world import world
from tests.limits import set_limit

from penstock_backbone.records.limits import (
    FLEET,
    NO_LIMIT,
    SHARDS,
    is_unreadable,
    limit_key,
    write_board,
    write_in_use,
)
from penstock_backbone.vocabulary import Put
from penstock_orchestrator.domain.limits import Limits, read_limits

pytestmark = pytest.mark.anyio

SCOPES = ["fleet", "tenant/acme", "workflow/agent_build", "resource/model:sonnet"]


async def changed(client: httpx.AsyncClient, scope: str, tenant: str = "ops", **body: Any) -> dict[str, Any]:
    answer = await client.put(f"/v1/limits/{scope}", json=body, headers={"Penstock-Tenant": tenant})
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def test_without_a_word_from_anybody_the_fleet_has_its_default_and_the_others_none() -> None:
    async with world() as (_, client):
        fleet = (await client.get("/v1/limits/fleet")).json()
        assert fleet == {
            "scope": "fleet", "limit": 5, "weight": None, "min_share": None, "paused": False, "yields": False,
            "state": "open", "held": 0, "limit_unknown": None, "version": None, "changed_at": None,
        }  # fmt: skip
        tenant = (await client.get("/v1/limits/tenant/acme")).json()
        assert (tenant["limit"], tenant["weight"], tenant["min_share"], tenant["version"]) == (None, 1, 0, None)
        assert tenant["yields"] is None
        assert (await client.get("/v1/limits")).json() == {"limits": [fleet], "next_cursor": None}


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_change_is_seen_and_leaves_its_record(scope: str) -> None:
    async with world() as (_, client):
        first = await changed(client, scope, limit=7)
        second = await changed(client, scope, "night-shift", limit=0, paused=True, version=first["version"])
        assert (await client.get(f"/v1/limits/{scope}")).json() == second
        assert second in (await client.get("/v1/limits")).json()["limits"]
        latest, earlier = (await client.get(f"/v1/limits/{scope}/changes")).json()["changes"]
        assert (latest["who"], latest["change"], latest["at"]) == (
            "night-shift",
            second["version"],
            second["changed_at"],
        )
        assert (latest["old"]["limit"], latest["old"]["paused"]) == (7, False)
        assert (latest["new"]["limit"], latest["new"]["paused"]) == (0, True)
        assert (earlier["old"], earlier["new"]["limit"]) == (None, 7)


async def test_whether_runs_yield_is_said_of_the_fleet_stays_until_it_is_taken_back_and_is_on_record() -> None:
    async with world() as (made, client):
        assert (await changed(client, "fleet", yields=True))["yields"] is True
        assert (await changed(client, "fleet", limit=7))["yields"] is True
        (item,) = await made.real_tables.get([limit_key(FLEET)])
        assert read_limits([item] if item else [], Limits()).limits.yields
        back = await changed(client, "fleet", "night-shift", yields=False)
        assert (back["limit"], back["yields"]) == (7, False)
        latest, _, first = (await client.get("/v1/limits/fleet/changes")).json()["changes"]
        assert (latest["who"], latest["old"]["yields"], latest["new"]["yields"]) == ("night-shift", True, False)
        assert first["new"] == {"limit": 5, "weight": None, "min_share": None, "paused": False, "yields": True}


async def test_the_number_of_shards_is_changed_like_a_limit_and_shows_how_many_there_are() -> None:
    async with world() as (made, client):
        before = (await client.get("/v1/limits/shards")).json()
        assert (before["limit"], before["held"], before["version"]) == (1, 1, None)
        asked = await changed(client, "shards", "night-shift", limit=4, version=None)
        assert (asked["scope"], asked["limit"], asked["held"]) == ("shards", 4, 1)
        await made.real_tables.write([write_in_use(SHARDS, held=4, durations=(), at=1)])
        assert (await client.get("/v1/limits/shards")).json()["held"] == 4
        (record,) = (await client.get("/v1/limits/shards/changes")).json()["changes"]
        assert (record["who"], record["new"]["limit"]) == ("night-shift", 4)


async def test_what_is_left_out_stays_as_it_is() -> None:
    async with world() as (_, client):
        await changed(client, "tenant/acme", limit=3, weight=4, min_share=1)
        await changed(client, "tenant/acme", paused=True)
        found = await changed(client, "tenant/acme", limit=None)
        assert (found["limit"], found["weight"], found["min_share"], found["paused"]) == (None, 4, 1, True)


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_paused_scope_drains_until_nothing_runs_there(scope: str) -> None:
    async with world() as (made, client):
        inner = scope.replace("/", "#", 1)
        for held, expected in ((2, "draining"), (0, "drained")):
            drawn = (
                write_board("acme", waiting=3, held=held, places=[], at=1)
                if scope.startswith("tenant/")
                else write_in_use(inner, held=held, durations=(), at=1)
            )
            await made.real_tables.write([drawn])
            assert (await changed(client, scope, paused=True))["state"] == expected
            listed = {each["scope"]: each for each in (await client.get("/v1/limits")).json()["limits"]}
            assert (listed[scope]["state"], listed[scope]["held"]) == (expected, held)
        assert (await changed(client, scope, paused=False))["state"] == "open"


async def test_two_operators_do_not_overwrite_each_other_unseen() -> None:
    async with world() as (_, client):
        seen = (await changed(client, "fleet", limit=7))["version"]
        await changed(client, "fleet", limit=8, version=seen)
        late = await client.put("/v1/limits/fleet", json={"limit": 9, "version": seen})
        assert_problem(late, 409, "limit-changed")
        never_seen = await client.put("/v1/limits/fleet", json={"limit": 9, "version": None})
        assert_problem(never_seen, 409, "limit-changed")
        assert (await client.get("/v1/limits/fleet")).json()["limit"] == 8


async def test_of_changes_at_the_same_moment_one_wins_and_the_others_hear_of_it() -> None:
    async with world() as (_, client):
        wishes = [client.put("/v1/limits/fleet", json={"limit": limit}) for limit in range(10)]
        answers = await asyncio.gather(*wishes)
        codes = sorted(answer.status_code for answer in answers)
        assert set(codes) <= {200, 409}
        assert codes.count(200) >= 1
        records = (await client.get("/v1/limits/fleet/changes")).json()["changes"]
        assert len(records) == codes.count(200), "each success has its record, each refusal none"


@pytest.mark.parametrize("lost", ["lose_requests", "lose_responses"])
async def test_a_change_whose_answer_is_lost_is_made_once(lost: str) -> None:
    async with world() as (made, client):
        getattr(made.tables, lost)["transact"] = 2
        assert (await changed(client, "fleet", limit=7))["limit"] == 7
        assert len((await client.get("/v1/limits/fleet/changes")).json()["changes"]) == 1


async def test_an_item_that_was_written_by_hand_can_be_changed_and_has_a_version() -> None:
    async with world() as (made, client):
        await made.real_tables.write([set_limit(FLEET, limit=9, at=4)])
        version = (await client.get("/v1/limits/fleet")).json()["version"]
        assert (await changed(client, "fleet", limit=7, version=version))["limit"] == 7
        await made.real_tables.write([Put(limit_key("tenant#a"), {"limit": 3})])
        assert (await changed(client, "tenant/a", limit=2))["limit"] == 2


DAMAGED = [-1, 100_001, True, "7", 1.5, None, {}]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("damaged", [*DAMAGED, 0, 7, NO_LIMIT])
def test_a_limit_cannot_be_read_where_the_orchestrator_cannot_read_it(scope: str, damaged: Any) -> None:
    item = {"sk": scope.replace("/", "#", 1), "limit": damaged}
    assert is_unreadable(item["sk"], item) is bool(read_limits([item], Limits()).warnings)


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_limit_that_cannot_be_read_is_not_told_as_none_and_opened_by_nobody_unseen(scope: str) -> None:
    async with world() as (made, client):
        key = limit_key(scope.replace("/", "#", 1))
        await made.write(Put(key, {"limit": "damaged", "at": 1}))
        found = (await client.get(f"/v1/limits/{scope}")).json()
        assert found["limit"] is None
        assert "cannot be read" in found["limit_unknown"]
        assert found in (await client.get("/v1/limits")).json()["limits"]
        before = made.items_written
        for body in ({"paused": True}, {"paused": False, "version": found["version"]}):
            refused = assert_problem(await client.put(f"/v1/limits/{scope}", json=body), 400, "invalid-request")
            assert refused["errors"][0]["pointer"] == "#/limit"
            assert refused["detail"].startswith("limit must be stated, because")
        assert made.items_written == before
        whole = await changed(client, scope, limit=3, version=found["version"])
        assert (whole["limit"], whole["limit_unknown"]) == (3, None)


async def test_a_weight_alone_does_not_open_a_tenant_whose_limit_cannot_be_read() -> None:
    async with world() as (made, client):
        await made.write(Put(limit_key("tenant#acme"), {"limit": "damaged", "at": 1}))
        assert_problem(await client.put("/v1/limits/tenant/acme", json={"weight": 2}), 400, "invalid-request")
        (item,) = await made.real_tables.get([limit_key("tenant#acme")])
        assert item is not None
        assert read_limits([item], Limits()).limits.of_tenant("acme") == 0
        assert (await changed(client, "tenant/acme", limit=None, weight=2))["limit_unknown"] is None


async def test_changes_are_read_in_pages() -> None:
    async with world() as (made, client):
        for limit in range(5):
            made.clock.seconds += 1  # type: ignore[union-attr]  # the test's own clock
            await changed(client, "fleet", limit=limit)
        first = (await client.get("/v1/limits/fleet/changes?limit=3")).json()
        rest = (await client.get(f"/v1/limits/fleet/changes?limit=3&cursor={first['next_cursor']}")).json()
        found = [change["new"]["limit"] for page in (first, rest) for change in page["changes"]]
        assert found == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("scope", "body", "pointer"),
    [
        ("fleet", {"limit": -1}, "#/limit"),
        ("fleet", {"limit": 100_001}, "#/limit"),
        ("fleet", {"limit": True}, "#/limit"),
        ("fleet", {"limit": 1.5}, "#/limit"),
        ("fleet", {"limit": "5"}, "#/limit"),
        ("fleet", {"limit": None}, "#/limit"),
        ("fleet", {"limit": 5, "weight": 2}, "#/weight"),
        ("workflow/w", {"min_share": 2}, "#/min_share"),
        ("shards", {"limit": 0}, "#/limit"),
        ("shards", {"limit": 17}, "#/limit"),
        ("shards", {"limit": None}, "#/limit"),
        ("shards", {"paused": True}, "#/paused"),
        ("shards", {"limit": 2, "weight": 2}, "#/weight"),
        ("fleet", {"yields": 1}, "#/yields"),
        ("tenant/acme", {"yields": True}, "#/yields"),
        ("shards", {"yields": True}, "#/yields"),
        ("tenant/acme", {"weight": 0}, "#/weight"),
        ("tenant/acme", {"weight": 1001}, "#/weight"),
        ("tenant/acme", {"paused": 1}, "#/paused"),
        ("tenant/acme", {"limit": 1, "version": 3}, "#/version"),
        ("tenant/acme", {"limits": 1}, "#/limits"),
        ("tenant/acme", {}, "#"),
        ("tenant/acme", {"version": None}, "#"),
        ("tenant/acme", [], "#"),
    ],
)
async def test_a_body_that_says_nothing_sensible_is_refused(scope: str, body: Any, pointer: str) -> None:
    async with world() as (made, client):
        before = made.items_written
        problem = assert_problem(await client.put(f"/v1/limits/{scope}", json=body), 400, "invalid-request")
        assert problem["errors"][0]["pointer"] == pointer
        assert made.items_written == before


@pytest.mark.parametrize("scope", ["tenant/UPPER", "tenant/-a", "planet/earth", "workflow/%20x", "fleets"])
async def test_a_scope_that_cannot_be_is_not_found(scope: str) -> None:
    async with world() as (_, client):
        assert_problem(await client.put(f"/v1/limits/{scope}", json={"limit": 1}), 404, "not-found")
        assert_problem(await client.get(f"/v1/limits/{scope}"), 404, "not-found")
