"""Why am I waiting: place, what blocks, who holds it, and when it may start; or that this is not known."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from tests.api.test_bad_input import assert_problem
from tests.api.world import World, submitted, world
from tests.limits import set_limit

from penstock_api.handlers import leases
from penstock_backbone.records.limits import (
    FLEET,
    Stated,
    change_limit,
    resource_scope,
    tenant_scope,
    workflow_scope,
    write_board,
    write_in_use,
)
from penstock_backbone.records.runs import RunItem, claim_run
from penstock_backbone.records.sessions import beat, expire_session, open_session
from penstock_backbone.records.shards import Ledger, write_ledger
from penstock_backbone.records.tokens import HELD, WAITING, token_key
from penstock_backbone.records.verbs import ask_to_yield
from penstock_backbone.vocabulary import Put

pytestmark = pytest.mark.anyio

WORKFLOW = "agent_build"
MEASURED = [50_000, 55_000, 60_000, 65_000, 70_000]
HOLDERS = [("run_A", WORKFLOW), ("run_B", "other")]


async def draw(made: World, *puts: Put) -> None:
    await made.real_tables.write(puts)


def board(*places: str, held: int = 2, waiting: int | None = None) -> Put:
    waits = len(places) if waiting is None else waiting
    return write_board("default", waiting=waits, held=held, places=list(places), holders=HOLDERS[:held], at=1_000)


def in_use(fleet: int, workflow: int = 1, durations: list[int] = MEASURED) -> tuple[Put, Put]:
    return (
        write_in_use(FLEET, held=fleet, durations=(), at=1_000),
        write_in_use(workflow_scope(WORKFLOW), held=workflow, durations=durations, at=1_000),
    )


def said(scope: str, new: Stated) -> Put:
    return change_limit(scope, None, new, change="chg_1", who="ops", at=1)[0]


async def queued(made: World, client: httpx.AsyncClient) -> str:
    project = await submitted(client)
    await made.enqueue(project["id"])
    run: str = project["run_id"]
    return run


async def admission(client: httpx.AsyncClient, run: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/runs/{run}/admission")
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def test_a_run_sees_its_place_what_blocks_it_who_holds_that_and_when_it_may_start() -> None:
    async with world(WORKFLOW) as (made, client):
        run = await queued(made, client)
        await draw(made, board("run_X", run, waiting=7), *in_use(fleet=5))
        view = await admission(client, run)
        assert (view["state"], view["position"], view["waiting"]) == ("queued", 2, 7)
        (blocker,) = view["blocked_by"]
        assert blocker.pop("next_lease_end") is None
        assert "2 of its 5 holders are heard of" in blocker.pop("next_lease_end_unknown")
        assert blocker == {
            "scope": "fleet", "reason": "limit", "limit": 5, "held": 5, "holders": ["run_A", "run_B"],
        }  # fmt: skip
        assert view["start"]["measured_runs"] == 5
        assert 0 < view["start"]["p50_ms"] < view["start"]["p90_ms"] < 3 * 60_000
        assert view["start_unknown"] is None
        assert view["as_of"] == "1970-01-01T00:00:01.000Z"


@pytest.mark.parametrize(
    ("limits", "blocked_by"),
    [
        ([set_limit(FLEET, limit=9, at=1)], []),
        ([set_limit(FLEET, limit=5, at=1)], [("fleet", "limit", ["run_A", "run_B"])]),
        ([set_limit(FLEET, limit=3, at=1)], [("fleet", "limit", ["run_A", "run_B"])]),
        (
            [set_limit(FLEET, limit=9, at=1), set_limit(tenant_scope("default"), limit=2, at=1)],
            [("tenant/default", "limit", ["run_A", "run_B"])],
        ),
        (
            [set_limit(FLEET, limit=9, at=1), set_limit(workflow_scope(WORKFLOW), limit=1, at=1)],
            [(f"workflow/{WORKFLOW}", "limit", ["run_A"])],
        ),
        (
            [said(FLEET, Stated(9, paused=True)), said(tenant_scope("default"), Stated(None, paused=True))],
            [("fleet", "paused", ["run_A", "run_B"]), ("tenant/default", "paused", ["run_A", "run_B"])],
        ),
    ],
)
async def test_what_blocks_is_named(limits: list[Put], blocked_by: list[Any]) -> None:
    async with world(WORKFLOW) as (made, client):
        run = await queued(made, client)
        await draw(made, board(run), *in_use(fleet=5), *limits)
        found = [
            (each["scope"], each["reason"], each["holders"]) for each in (await admission(client, run))["blocked_by"]
        ]
        assert found == blocked_by


@pytest.mark.parametrize(
    ("drawn", "because"),
    [
        ([], "place is not known"),
        ([board("run_X", waiting=900), *in_use(5)], "place is not known"),
        ([board("RUN"), *in_use(5, durations=MEASURED[:4])], "Only 4 measured runs"),
        ([board("RUN"), *in_use(5, durations=MEASURED[:1])], "Only 1 measured run of"),
        ([board("RUN", held=0), *in_use(0)], "not known how fast"),
        ([board("run_X", "RUN", held=0), *in_use(5)], "not known how fast"),
        ([board("RUN"), *in_use(5), said(FLEET, Stated(5, paused=True))], "paused"),
        ([board("RUN"), *in_use(5), set_limit(FLEET, limit=0, at=1)], "paused"),
        ([board("RUN"), *in_use(3), set_limit(workflow_scope(WORKFLOW), limit=1, at=1)], "all tenants share"),
    ],
)
async def test_what_is_not_known_is_not_estimated(drawn: list[Put], because: str) -> None:
    async with world(WORKFLOW) as (made, client):
        run = await queued(made, client)
        for put in drawn:
            if "RUN" in put.item.get("places", ()):
                put.item["places"] = [run if place == "RUN" else place for place in put.item["places"]]
                await draw(made, put)
                put.item["places"] = ["RUN" if place == run else place for place in put.item["places"]]
            else:
                await draw(made, put)
        view = await admission(client, run)
        assert view["start"] is None
        assert because in view["start_unknown"]


def token_of(run: RunItem, shard: int = 0, **differs: Any) -> Put:
    """As the orchestrator has granted it."""
    item = {"st": HELD, "f": 1, "run": run["pk"], "project": run["project_id"], "tenant": "default", "wf": WORKFLOW}
    return Put(token_key(shard, run["token"]), {**item, "prio": 3, "at": 1, **differs})


async def test_a_run_that_waits_no_more_has_no_place() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        run = await made.enqueue(project["id"])
        holders = [(f"run_{number}", WORKFLOW) for number in range(20)]
        await draw(made, write_board("default", waiting=1, held=21, places=["run_X"], holders=holders, at=1))
        await draw(made, token_of(run), *in_use(fleet=21))
        granted = await admission(client, run["pk"])
        assert (granted["state"], granted["position"], granted["waiting"]) == ("granted", None, None)
        assert (granted["blocked_by"], granted["start"]) == ([], None)
        assert granted["start_unknown"].startswith("It has its slot, and waits for a runner")
        claimed = await made.claim(run)
        running = await admission(client, run["pk"])
        await made.succeed(claimed)
        ended = await admission(client, run["pk"])
        assert (running["state"], ended["state"]) == ("running", "succeeded")
        for view in (running, ended):
            assert (view["position"], view["waiting"], view["blocked_by"]) == (None, None, [])
            assert (view["start"], view["start_unknown"]) == (None, None)


@pytest.mark.parametrize("differs", [{"st": WAITING, "f": 0}, {"st": WAITING, "f": 1}, {"f": 0}])
async def test_a_run_whose_token_waits_or_is_still_held_under_a_grant_that_was_lost_waits_itself(
    differs: dict[str, Any],
) -> None:
    async with world(WORKFLOW) as (made, client):
        run = await made.enqueue((await submitted(client))["id"])
        await draw(made, board(run["pk"]), token_of(run, **differs))
        assert ((await admission(client, run["pk"]))["state"], run["fence"]) == ("queued", 0)


async def test_a_grant_is_also_found_in_the_shard_to_which_its_tenant_has_moved() -> None:
    async with world(WORKFLOW) as (made, client):
        run = await made.enqueue((await submitted(client))["id"])
        spread = next(ledger for shards in range(2, 17) if (ledger := Ledger(1, shards=shards)).home("default") != 0)
        await draw(made, write_ledger(spread), token_of(run, shard=spread.home("default")))
        made.tables.calls.clear()
        assert (await admission(client, run["pk"]))["state"] == "granted"
        assert made.tables.calls == ["get", "get", "get"]


@pytest.mark.parametrize(("verb", "ends", "back"), [("cancel", "cancelled", "retry"), ("pause", "paused", "resume")])
async def test_a_run_that_never_had_a_token_answers_too_also_after_it_was_brought_back(
    verb: str, ends: str, back: str
) -> None:
    async with world(WORKFLOW) as (made, client):
        spread = next(ledger for shards in range(2, 17) if (ledger := Ledger(1, shards=shards)).home("default") != 0)
        await draw(made, write_ledger(spread))
        project = await submitted(client)
        assert (await client.post(f"/v1/projects/{project['id']}/{verb}")).status_code < 300
        rests = await admission(client, project["run_id"])
        assert (rests["state"], rests["position"], rests["start"]) == (ends, None, None)
        assert (await client.post(f"/v1/projects/{project['id']}/{back}")).status_code < 300
        waits = await admission(client, project["run_id"])
        assert (waits["state"], waits["position"]) == ("queued", None)
        assert "place is not known" in waits["start_unknown"]


@pytest.mark.parametrize("scope", [FLEET, tenant_scope("default"), workflow_scope(WORKFLOW)])
async def test_a_limit_that_cannot_be_read_is_named_and_no_start_is_estimated(scope: str) -> None:
    async with world(WORKFLOW) as (made, client):
        run = await queued(made, client)
        await draw(made, board(run), *in_use(fleet=5), set_limit(FLEET, limit=9, at=1))
        assert (await admission(client, run))["start"] is not None
        await draw(made, set_limit(scope, limit="damaged", at=1))  # type: ignore[arg-type]  # an item that is damaged
        view = await admission(client, run)
        (blocker,) = view["blocked_by"]
        assert (blocker["scope"], blocker["reason"], blocker["limit"]) == (
            scope.replace("#", "/"),
            "unreadable",
            None,
        )
        assert view["start"] is None
        assert "cannot be read" in view["start_unknown"]


async def test_a_run_that_is_asked_to_yield_says_so_while_it_runs() -> None:
    async with world(WORKFLOW) as (made, client):
        claimed = await made.claim(await made.run(await queued(made, client)))
        assert (await admission(client, claimed["pk"]))["yielding"] is False
        await made.real_tables.write([ask_to_yield(claimed, reason="a tenant has no slot", at=2_000)])
        assert (await admission(client, claimed["pk"]))["yielding"] is True


async def test_the_answer_costs_a_few_reads_and_other_tenants_runs_are_not_found() -> None:
    async with world(WORKFLOW) as (made, client):
        run = await queued(made, client)
        await draw(made, board(*(f"run_{number}" for number in range(199)), run, waiting=1_000_000), *in_use(5))
        made.tables.calls.clear()
        assert (await admission(client, run))["position"] == 200
        assert made.tables.calls == ["get", "get", "query", "get"], (
            "the run, how things stand, the runners, the holders"
        )
        await draw(made, *in_use(fleet=4))
        made.tables.calls.clear()
        assert (await admission(client, run))["blocked_by"] == []
        assert made.tables.calls == ["get", "get"]
        foreign = await client.get(f"/v1/runs/{run}/admission", headers={"Penstock-Tenant": "other"})
        assert_problem(foreign, 404, "not-found")


# --- leases of those that hold what blocks ---------------------------------------------------------------------


async def held_by(made: World, client: httpx.AsyncClient, *sessions: str) -> tuple[str, list[str]]:
    """One run that waits at the tenant's limit, and those that hold it, each executed under one of these sessions."""
    holders = []
    for session in sessions:
        project = await submitted(client)
        run = await made.enqueue(project["id"])
        await made.real_tables.write(
            [claim_run(run, fence=1, session=session, version="7", stages=["draft"], first=["draft"], at=2_000)]
        )
        holders.append(run["pk"])
    waiting = await queued(made, client)
    drawn = [(run, WORKFLOW) for run in holders]
    await draw(
        made,
        set_limit(tenant_scope("default"), limit=len(holders), at=1),
        set_limit(FLEET, limit=100, at=1),
        write_board("default", waiting=1, held=len(holders), places=[waiting], holders=drawn, at=1_000),
    )
    return waiting, holders


async def lease_end(client: httpx.AsyncClient, run: str) -> tuple[dict[str, Any] | None, str | None]:
    (blocker,) = (await admission(client, run))["blocked_by"]
    return blocker["next_lease_end"], blocker["next_lease_end_unknown"]


async def test_a_holder_that_is_silent_is_named_with_when_its_lease_ends() -> None:
    async with world(WORKFLOW) as (made, client):
        waiting, (first, second) = await held_by(made, client, "ses_one", "ses_two")
        await made.real_tables.write([open_session(name, capacity=4, at=1) for name in ("ses_one", "ses_two")])
        end, unknown = await lease_end(client, waiting)
        assert end is None
        assert unknown == "The runners of its holders were not looked at before: ask again in 3 seconds."

        await made.clock.sleep(2)
        await made.real_tables.write([beat(name, hb=1) for name in ("ses_one", "ses_two")])
        assert await lease_end(client, waiting) == (None, None)

        await made.clock.sleep(4)
        await made.real_tables.write([beat("ses_one", hb=2)])
        assert await lease_end(client, waiting) == ({"run_id": second, "silent_ms": 4000, "ends_in_ms": 6000}, None)

        await made.clock.sleep(4)
        assert await lease_end(client, waiting) == ({"run_id": second, "silent_ms": 8000, "ends_in_ms": 2000}, None)
        await made.real_tables.write([expire_session("ses_one", hb=2)])
        assert await lease_end(client, waiting) == ({"run_id": first, "silent_ms": None, "ends_in_ms": 0}, None)


async def test_a_session_that_is_gone_has_no_lease_left_and_a_run_without_one_has_none_to_lose() -> None:
    async with world(WORKFLOW) as (made, client):
        waiting, (holder,) = await held_by(made, client, "ses_forgotten")
        assert await lease_end(client, waiting) == ({"run_id": holder, "silent_ms": None, "ends_in_ms": 0}, None)
        await made.succeed(await made.run(holder))
        assert await lease_end(client, waiting) == (None, None)


async def test_what_was_seen_long_ago_says_nothing_about_now() -> None:
    async with world(WORKFLOW) as (made, client):
        waiting, _ = await held_by(made, client, "ses_one")
        await made.real_tables.write([open_session("ses_one", capacity=4, at=1)])
        await lease_end(client, waiting)
        await made.clock.sleep(60)
        await made.real_tables.write([beat("ses_one", hb=30)])
        assert "ask again" in str((await lease_end(client, waiting))[1])


async def test_the_holders_of_other_tenants_are_not_looked_at() -> None:
    async with world(WORKFLOW) as (made, client):
        run = await queued(made, client)
        await draw(made, board(run, held=0), *in_use(fleet=5))
        end, unknown = await lease_end(client, run)
        assert end is None
        assert unknown == "None of this tenant's runs holds it, and other tenants' runners are not shown."


async def test_of_what_is_paused_no_lease_is_told() -> None:
    async with world(WORKFLOW) as (made, client):
        waiting, _ = await held_by(made, client, "ses_one")
        await draw(made, msgspec.structs.replace(said(tenant_scope("default"), Stated(None, paused=True)), when=None))
        assert await lease_end(client, waiting) == (None, None)


async def test_heartbeats_of_many_sessions_are_forgotten_in_the_order_they_were_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leases, "BEATS_MAX", 1)
    async with world(WORKFLOW) as (made, client):
        waiting, _ = await held_by(made, client, "ses_one", "ses_two")
        await made.real_tables.write([open_session(name, capacity=4, at=1) for name in ("ses_one", "ses_two")])
        for _ in range(3):
            end, unknown = await lease_end(client, waiting)
            await made.clock.sleep(4)
            assert (end, "ask again" in str(unknown)) == (None, True)


async def test_a_resource_that_blocks_is_named_with_those_of_its_holders_who_are_the_tenants() -> None:
    async with world() as (made, client):
        await made.announce(WORKFLOW, resources=("model:large",))
        run = await queued(made, client)
        drawn = write_board(
            "default", waiting=1, held=2, places=[run], holders=[("run_A", WORKFLOW, "model:large"), ("run_B", "other")],
            at=1_000,
        )  # fmt: skip
        large = resource_scope("model:large")
        await draw(made, drawn, *in_use(fleet=2), set_limit(large, limit=1, at=1))
        assert (await admission(client, run))["blocked_by"] == []
        await draw(made, write_in_use(large, held=1, durations=(), at=1_000))
        view = await admission(client, run)
        assert [(each["scope"], each["holders"]) for each in view["blocked_by"]] == [
            ("resource/model:large", ["run_A"])
        ]
        assert view["start"] is None
        assert view["start_unknown"].startswith("It waits for model:large")
