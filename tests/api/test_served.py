"""Why am I waiting: because no runner serves it."""

from __future__ import annotations

import pytest
from tests.api.test_admission import WORKFLOW, admission, board, draw, in_use, queued
from tests.api.world import World, world

from penstock_api.handlers.fleet import FRESH_SECONDS
from penstock_backbone.records.runs import claim_run, fence_off
from penstock_backbone.records.sessions import open_session

pytestmark = pytest.mark.anyio


async def begun(made: World, run: str, version: str) -> None:
    """It runs with the version, and then waits again."""
    before = await made.run(run)
    claim = claim_run(before, fence=1, session="ses_one", version=version, stages=["a"], first=["a"], at=2)
    await made.real_tables.write([claim])
    await made.real_tables.write([fence_off(await made.run(run), reason="lost", at=3)])


@pytest.mark.parametrize(
    ("version", "served", "says"),
    [
        (None, [], f"No runner serves {WORKFLOW}."),
        (None, ["other@1"], f"No runner serves {WORKFLOW}."),
        (None, [f"{WORKFLOW}@2"], None),
        ("1", [f"{WORKFLOW}@1", f"{WORKFLOW}@2"], None),
        ("1", ["other@1"], f"No runner serves {WORKFLOW} version 1."),
        (
            "1",
            [f"{WORKFLOW}@3", f"{WORKFLOW}@2", "other@1"],
            f"No runner serves {WORKFLOW} version 1, with which this run began: there is 2, 3.",
        ),
        (
            "1",
            [f"{WORKFLOW}@{number}" for number in "23456789"],
            f"No runner serves {WORKFLOW} version 1, with which this run began: there is 2, 3, 4, 5, 6, ….",
        ),
        ("1", None, None),
    ],
)
async def test_a_run_that_no_runner_serves_is_told_so(
    version: str | None, served: list[str] | None, says: str | None
) -> None:
    async with world(WORKFLOW) as (made, client):
        run = await queued(made, client)
        if version is not None:
            await begun(made, run, version)
        await made.real_tables.write([open_session("ses_two", capacity=4, at=1, serves=served)])
        await draw(made, board("run_X", run), *in_use(fleet=2))
        view = await admission(client, run)
        assert view["unserved"] == says
        assert (view["start"] is None, view["start_unknown"]) == (says is not None, says)
        assert view["position"] == 2


async def test_without_any_runner_nothing_is_said_of_what_they_serve() -> None:
    async with world(WORKFLOW) as (made, client):
        run = await queued(made, client)
        await draw(made, board(run), *in_use(fleet=2))
        assert (await admission(client, run))["unserved"] is None


async def test_the_runners_are_read_once_in_a_while_however_many_ask_and_only_for_who_waits() -> None:
    async with world(WORKFLOW) as (made, client):
        run = await queued(made, client)
        await made.real_tables.write([open_session("ses_two", capacity=4, at=1, serves=["other@1"])])
        made.tables.calls.clear()
        assert [(await admission(client, run))["unserved"] is None for _ in range(5)] == [False] * 5
        assert made.tables.calls.count("query") == 1
        await made.real_tables.write([open_session("ses_three", capacity=4, at=1, serves=[f"{WORKFLOW}@1"])])
        made.clock.seconds += FRESH_SECONDS  # type: ignore[union-attr]  # it is the clock of the test
        assert (await admission(client, run))["unserved"] is None
        await begun(made, run, "1")
        await made.claim(await made.run(run))
        made.tables.calls.clear()
        made.clock.seconds += FRESH_SECONDS  # type: ignore[union-attr]  # it is the clock of the test
        await admission(client, run)
        assert "query" not in made.tables.calls
