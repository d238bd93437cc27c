"""After a lost response every writer repeats its write: nothing happens twice, and it can tell what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from tests.events.stories import AT, PROJECT_ID, RUN_ID, TOKEN, WRITES, apply, ghost, must, project, run_in, stage_done

from penstock_backbone.ports import Tables
from penstock_backbone.records import limits, projects, runs, sessions, shards, tokens, yields
from penstock_backbone.records.tokens import GRANT, RELEASE, REQUEUE, Operation
from penstock_backbone.records.transitions import TRANSITIONS
from penstock_backbone.vocabulary import Cancelled, Committed, Item, Refused, Write, Written

pytestmark = pytest.mark.anyio


def create(run_id: str = RUN_ID) -> Write:
    return projects.create_project(
        PROJECT_ID, tenant="acme", name="weather", requirement="Tell me the weather", workflow="hello", priority=2,
        tags=["a"], run_id=run_id, at=AT, traceparent=None,
    )  # fmt: skip


def claim_key() -> Write:
    return projects.claim_idempotency_key("acme", "ab" * 32, project_id=PROJECT_ID, fingerprint="cd", at=AT)


def commit_head(seq: int = 0, commit_id: str = "mine") -> Write:
    return tokens.commit_head(0, seq=seq, operations=[Operation(GRANT, TOKEN, 1)], commit_id=commit_id)


def enqueue_token() -> Write:
    return tokens.enqueue_token(project(), token=TOKEN, shard=0, at=AT)


def operation(op: str, fence: int = 1) -> Write:
    return tokens.apply_operation(0, Operation(op, TOKEN, fence))


def open_session() -> Write:
    return sessions.open_session("ses_1", capacity=4, at=AT)


def ledger(version: int) -> shards.Ledger:
    return shards.Ledger(version, f"cid {version}", version, 2, 2, {"fleet": {0: 3, 1: 2}})


def asks(version: int) -> yields.Asks:
    return yields.Asks(version, f"cid {version}", (yields.Ask(TOKEN, 1),))


@dataclass(frozen=True)
class Case:
    """`own` says of the item in a refusal that the earlier try had succeeded; None: repeating is simply harmless."""

    write: Write
    own: Callable[[Item | None], bool] | None
    before: list[Write] = field(default_factory=list)


def has(**expected: object) -> Callable[[Item | None], bool]:
    return lambda item: item is not None and expected.items() <= item.items()


def is_gone(item: Item | None) -> bool:
    return item is None


CASES = {
    "create_project": Case(create(), has(run_id=RUN_ID)),
    "claim_idempotency_key": Case(claim_key(), has(project_id=PROJECT_ID, fingerprint="cd")),
    "create_head": Case(tokens.create_head(0), has(seq=0)),
    "commit_head": Case(commit_head(), has(seq=1, cid="mine"), [tokens.create_head(0)]),
    "fence_head": Case(
        shards.fence_head(0, seq=0, ledger=1, commit_id="mine"), has(seq=1, cid="mine"), [tokens.create_head(0)]
    ),
    "begin_head": Case(shards.begin_head(3, ledger=1), has(seq=0, ledger=1)),
    "write_ledger, the first": Case(shards.write_ledger(ledger(1)), has(ver=1, cid="cid 1")),
    "write_ledger": Case(shards.write_ledger(ledger(2)), has(ver=2, cid="cid 2"), [shards.write_ledger(ledger(1))]),
    "write_asks, the first": Case(yields.write_asks(asks(1)), has(ver=1, cid="cid 1")),
    "write_asks": Case(yields.write_asks(asks(2)), has(ver=2, cid="cid 2"), [yields.write_asks(asks(1))]),
    "enqueue_token": Case(enqueue_token(), has(run=RUN_ID)),
    "grant": Case(operation(GRANT), has(st="held", f=1), [enqueue_token()]),
    "release": Case(operation(RELEASE), is_gone, [enqueue_token(), operation(GRANT)]),
    "requeue": Case(operation(REQUEUE), has(st="waiting", f=1), [enqueue_token(), operation(GRANT)]),
    "open_session": Case(open_session(), has(st="live", hb=0)),
    "beat": Case(sessions.beat("ses_1", hb=7), None, [open_session()]),
    "drain_session": Case(sessions.drain_session("ses_1"), has(st="draining"), [open_session()]),
    "expire_session": Case(sessions.expire_session("ses_1", hb=0), None, [open_session()]),
    "bury_session": Case(sessions.bury_session("ses_1"), None, [open_session()]),
    "tell_of_burial": Case(sessions.tell_of_burial("ses_1"), None),
    "forget_session": Case(sessions.forget_session("ses_1"), is_gone, [open_session(), sessions.bury_session("ses_1")]),
    "change_limit": Case(
        limits.change_limit(limits.FLEET, None, limits.Stated(3), change="chg_1", who="ops", at=AT)[0],
        has(change="chg_1"),
    ),
    "write_board": Case(limits.write_board("acme", waiting=1, held=1, places=[RUN_ID], at=AT), None),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_repeated_write_changes_nothing_and_finds_its_own_success(tables: Tables, name: str) -> None:
    case = CASES[name]
    for write in case.before:
        await must(tables, write)
    await must(tables, case.write)
    once = await tables.get([case.write.key])
    outcome = await apply(tables, case.write)
    assert await tables.get([case.write.key]) == once
    if case.own is None:
        assert outcome == Written()
    else:
        assert isinstance(outcome, Refused)
        assert case.own(outcome.item)


RECOGNISED: dict[str, Callable[[Item], bool]] = {
    "claim": lambda item: runs.is_claimed_by(item, fence=1, session="ses_1"),
    "commit": lambda item: runs.is_committed(item, fence=1, seq=5, facts=[stage_done()]),
    "succeed": lambda item: runs.is_committed(
        item, fence=1, seq=5, facts=[runs.fact("RunSucceeded", AT + 4, duration_ms=2)]
    ),
    "fail": lambda item: runs.is_committed(
        item, fence=1, seq=5, facts=[runs.fact("RunFailed", AT + 4, error="E", message="m")]
    ),
    "fence_off": lambda item: item["state"] == runs.QUEUED and item["fence"] == 1,
    "leave_to_hook": lambda item: item["state"] == runs.QUEUED and item["fence"] == 1,
    "give_up": lambda item: item["state"] == runs.FAILED and item["fence"] == 1,
    "revoke": lambda item: item["state"] == runs.QUEUED and item["fence"] == 1,
}


@pytest.mark.parametrize("verb", RECOGNISED)
async def test_a_repeated_transition_is_refused_and_finds_its_own_success(tables: Tables, verb: str) -> None:
    source = next(transition.sources[0] for transition in TRANSITIONS if transition.verb == verb)
    write = WRITES[verb](await run_in(tables, source))
    await must(tables, write)
    once = await tables.get([write.key])
    outcome = await apply(tables, write)
    assert isinstance(outcome, Refused)
    assert [outcome.item] == once
    assert outcome.item is not None
    assert RECOGNISED[verb](outcome.item)


async def test_another_runners_claim_is_not_taken_for_ones_own(tables: Tables) -> None:
    run = await run_in(tables, runs.QUEUED)
    theirs = runs.claim_run(run, fence=1, session="ses_2", version="1", stages=["draft"], first=["draft"], at=AT)
    await must(tables, theirs)
    outcome = await apply(tables, WRITES["claim"](run))
    assert isinstance(outcome, Refused)
    assert outcome.item is not None
    assert not RECOGNISED["claim"](outcome.item)


async def test_another_writers_commit_at_the_same_number_is_not_taken_for_ones_own(tables: Tables) -> None:
    run = await run_in(tables, runs.RUNNING)
    await must(tables, WRITES["fail"](run))
    outcome = await apply(tables, WRITES["commit"](run))
    assert isinstance(outcome, Refused)
    assert outcome.item is not None
    assert not RECOGNISED["commit"](outcome.item)


async def test_another_orchestrators_commit_of_the_head_is_not_taken_for_ones_own(tables: Tables) -> None:
    await must(tables, tokens.create_head(0))
    await must(tables, commit_head(commit_id="theirs"))
    outcome = await apply(tables, commit_head(commit_id="mine"))
    assert isinstance(outcome, Refused)
    assert outcome.item is not None
    assert outcome.item["cid"] == "theirs"


async def test_enqueueing_twice_makes_one_run_and_one_token(tables: Tables) -> None:
    both = [WRITES["enqueue"](ghost()), enqueue_token()]
    assert await tables.transact(both) == Committed()
    once = await tables.get([part.key for part in both])
    again = await tables.transact(both)
    assert isinstance(again, Cancelled)
    assert [reason.item if reason else None for reason in again.reasons] == once


async def test_a_late_copy_of_enqueueing_cannot_bring_back_the_token_of_a_finished_run(tables: Tables) -> None:
    both = [WRITES["enqueue"](ghost()), enqueue_token()]
    await tables.transact(both)
    await must(tables, operation(GRANT))
    await must(tables, operation(RELEASE))
    assert isinstance(await tables.transact(both), Cancelled)
    assert await tables.get([both[1].key]) == [None]


async def test_the_redo_list_may_be_applied_by_anyone_in_any_state_of_completion(tables: Tables) -> None:
    """A grant, then its release, then the grant again by somebody who slept: the token stays released."""
    await must(tables, enqueue_token())
    await must(tables, operation(GRANT, 1))
    await must(tables, operation(REQUEUE, 1))
    assert isinstance(await apply(tables, operation(GRANT, 1)), Refused)
    await must(tables, operation(GRANT, 2))
    assert isinstance(await apply(tables, operation(RELEASE, 1)), Refused)
    assert isinstance(await apply(tables, operation(REQUEUE, 1)), Refused)
    await must(tables, operation(RELEASE, 2))


async def test_a_dead_session_cannot_be_revived_by_its_own_heartbeat(tables: Tables) -> None:
    await must(tables, open_session())
    await must(tables, sessions.expire_session("ses_1", hb=0))
    assert isinstance(await apply(tables, sessions.beat("ses_1", hb=1)), Refused)
    assert isinstance(await apply(tables, sessions.drain_session("ses_1")), Refused)


async def test_a_session_that_beat_in_the_meantime_is_not_expired(tables: Tables) -> None:
    await must(tables, open_session())
    await must(tables, sessions.beat("ses_1", hb=1))
    assert isinstance(await apply(tables, sessions.expire_session("ses_1", hb=0)), Refused)


async def test_a_project_id_taken_by_somebody_else_is_noticed(tables: Tables) -> None:
    await must(tables, create(run_id="run_other"))
    outcome = await apply(tables, create())
    assert isinstance(outcome, Refused)
    assert outcome.item is not None
    assert outcome.item["run_id"] == "run_other"
