"""The table of a run's transitions and the writes that make them say the same: every state meets every verb."""

from __future__ import annotations

import pytest
from tests.events.stories import RUN_ID, STATES, WRITES, apply, ghost, load, load_run, must, run_in

from penstock_backbone.ports import Tables
from penstock_backbone.records import runs
from penstock_backbone.records.transitions import RETURNING, TRANSITIONS, Transition
from penstock_backbone.vocabulary import Refused, Written

pytestmark = pytest.mark.anyio

by_verb = pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda transition: transition.verb)


def test_every_verb_of_the_table_has_a_write() -> None:
    assert [transition.verb for transition in TRANSITIONS] == list(WRITES)


ONWARDS = {
    runs.QUEUED: ("claim", "fence_off", "claim"),
    RETURNING: ("make_token", "claim"),
    runs.RUNNING: ("fence_off", "claim"),
    runs.WAITING: ("wake", "claim"),
    runs.PAUSED: ("resume", "claim"),
}
"""How a run in this state gets going again, and is claimed."""


@by_verb
@pytest.mark.parametrize("state", STATES)
async def test_a_verb_is_accepted_in_its_own_states_and_changes_nothing_in_others(
    tables: Tables, state: str, transition: Transition
) -> None:
    run = await run_in(tables, state)
    before = await load(tables)
    outcome = await apply(tables, WRITES[transition.verb](run))
    if state in transition.sources or (state == RETURNING and runs.QUEUED in transition.sources):
        assert isinstance(outcome, Written)
        assert (await load_run(tables))["state"] == (transition.target or run["state"])
    else:
        assert outcome == Refused(before)
        assert await load(tables) == before


@pytest.mark.parametrize(
    "transition", [each for each in TRANSITIONS if any(each.sources)], ids=lambda transition: transition.verb
)
async def test_what_was_read_too_long_ago_is_refused(tables: Tables, transition: Transition) -> None:
    """The run has since been lost, requeued and granted again: every write of the old holder must fail."""
    stale = await run_in(tables, transition.sources[0])
    for verb in ONWARDS.get(transition.sources[0], ("retry", "claim")):
        await must(tables, WRITES[verb](await load_run(tables)))
    before = await load(tables)
    assert isinstance(await apply(tables, WRITES[transition.verb](stale)), Refused)
    assert await load(tables) == before


@pytest.mark.parametrize("fence", [-1, 0])
async def test_a_claim_needs_a_fence_above_the_runs_own(tables: Tables, fence: int) -> None:
    await must(tables, WRITES["revoke"](await run_in(tables, runs.QUEUED)))
    run = await load_run(tables)
    claim = runs.claim_run(
        run, fence=run["fence"] + fence, session="ses_1", version="1", stages=["draft"], first=["draft"], at=0
    )
    assert isinstance(await apply(tables, claim), Refused)


async def test_a_late_claim_of_a_revoked_grant_is_refused(tables: Tables) -> None:
    run = await run_in(tables, runs.QUEUED)
    await must(tables, WRITES["revoke"](run))
    assert isinstance(await apply(tables, WRITES["claim"](run)), Refused)


async def test_two_commits_from_one_reading_make_one(tables: Tables) -> None:
    run = await run_in(tables, runs.RUNNING)
    await must(tables, WRITES["commit"](run))
    assert isinstance(await apply(tables, WRITES["fail"](run)), Refused)
    assert (await load_run(tables))["state"] == runs.RUNNING


@pytest.mark.parametrize(
    "verb", ["succeed", "fail", "hand_back", "fence_off", "leave_to_hook", "give_up", "stop", "stop_lost"]
)
async def test_a_run_that_nobody_executes_names_no_session(tables: Tables, verb: str) -> None:
    run = await run_in(tables, runs.RUNNING)
    assert run["session"] == "ses_1"
    await must(tables, WRITES[verb](run))
    assert "session" not in await load_run(tables)


@pytest.mark.parametrize("state", [state for state in STATES if state])
async def test_the_index_follows_the_state(tables: Tables, state: str) -> None:
    run = await run_in(tables, state)
    assert run["tenant_status"] == f"acme#{runs.STATUS_OF_STATE[run['state']]}"


async def test_an_interruption_counts_an_attempt_and_keeps_the_first_start(tables: Tables) -> None:
    first = await run_in(tables, runs.RUNNING)
    await must(tables, WRITES["fence_off"](first))
    await must(tables, WRITES["claim"](await load_run(tables)))
    second = await load_run(tables)
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert second["started_at"] == first["started_at"]
    assert second["fence"] > first["fence"]


def test_the_ghost_of_a_run_is_what_enqueueing_makes() -> None:
    assert ghost()["state"] == runs.QUEUED
    assert ghost()["pk"] == RUN_ID
