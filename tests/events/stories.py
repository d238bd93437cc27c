"""Runs in every state, made by the same writes as in production."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from penstock_backbone.ports import Tables
from penstock_backbone.records import runs, verbs
from penstock_backbone.records.projects import ProjectItem, as_project, create_project, project_key
from penstock_backbone.records.runs import RunItem
from penstock_backbone.records.transitions import RETURNING
from penstock_backbone.vocabulary import Item, Outcome, Refused, Unsettled, Write, Written

PROJECT_ID = "prj_1"
RUN_ID = "run_1"
TOKEN = "acme#2#run_1"
AT = 1_790_000_000_000

STATES = ("", runs.QUEUED, RETURNING, runs.RUNNING, *sorted(runs.RESTING), *sorted(runs.TERMINAL))
"""Every state of a run; "" is a run that does not exist."""


def project() -> ProjectItem:
    put = create_project(
        PROJECT_ID, tenant="acme", name="weather", requirement="Tell me the weather", workflow="hello", priority=2,
        tags=[], run_id=RUN_ID, at=AT, traceparent="00-aa-bb-01",
    )  # fmt: skip
    return as_project({"pk": PROJECT_ID, **put.item})


def enqueue() -> Write:
    return runs.enqueue_run(project(), token=TOKEN, shard=0, at=AT + 1)


def ghost() -> RunItem:
    """What a reader may still have in mind of a run that is not there."""
    write = runs.enqueue_run(project(), token=TOKEN, shard=0, at=AT + 1)
    return runs.as_run({"pk": RUN_ID, **write.item})


def end(run: RunItem, state: str, fact: runs.FactItem) -> Write:
    return runs.end_run(run, state=state, fence=run["fence"], seq=run["seq"], facts=[fact], results={}, at=AT + 4)


def rest(run: RunItem, state: str, fact: runs.FactItem, due: int | None = None) -> Write:
    return runs.end_run(
        run, state=state, fence=run["fence"], seq=run["seq"], facts=[fact], results={}, at=AT + 4, due=due
    )


def answered(run: RunItem, wakes: str | None) -> Write:
    told = runs.fact("SignalReceived", AT + 5, signal="go", size=4)
    return verbs.answer(run, key="signal:go", text="true", told=told, wakes=wakes, at=AT + 5)


def stage_done(stage: str = "draft") -> runs.FactItem:
    return runs.fact("StageCompleted", AT + 3, stage=stage, attempt=1, duration_ms=1, output_bytes=2)


WRITES: dict[str, Callable[[RunItem], Write]] = {
    "enqueue": lambda _: enqueue(),
    "claim": lambda run: runs.claim_run(
        run,
        fence=run["fence"] + 1,
        session="ses_1",
        version="1",
        stages=["draft", "review"],
        first=["draft"],
        at=AT + 2,
    ),
    "commit": lambda run: runs.commit_facts(
        RUN_ID, fence=run["fence"], seq=run["seq"], facts=[stage_done()], results={"draft": '"text"'}, at=AT + 3
    ),
    "succeed": lambda run: end(run, runs.SUCCEEDED, runs.fact("RunSucceeded", AT + 4, duration_ms=2)),
    "fail": lambda run: end(run, runs.FAILED, runs.fact("RunFailed", AT + 4, error="E", message="m")),
    "time_out": lambda run: end(run, runs.TIMED_OUT, runs.fact("RunTimedOut", AT + 4, timeout_ms=9)),
    "rest": lambda run: rest(run, runs.WAITING, runs.fact("RunWaiting", AT + 4, stages=["draft"]), due=AT + 60_000),
    "pause_reached": lambda run: rest(run, runs.PAUSED, runs.fact("RunPaused", AT + 4, reason="enough")),
    "hand_back": lambda run: runs.end_run(
        run,
        state=runs.QUEUED,
        fence=run["fence"],
        seq=run["seq"],
        attempt=run["attempt"] - 1,
        at=AT + 5,
        facts=[runs.fact("RunRequeued", AT + 5, reason="the runner was stopped")],
        results={},
    ),
    "fence_off": lambda run: runs.fence_off(run, reason="the runner was lost", at=AT + 5),
    "leave_to_hook": lambda run: runs.leave_to_hook(run, given_up=[8, "too often"], reason="too often", at=AT + 5),
    "give_up": lambda run: runs.give_up(run, message="too often", at=AT + 5),
    "revoke": lambda run: runs.revoke(RUN_ID, fence=run["fence"] + 1),
    "ask_to_yield": lambda run: verbs.ask_to_yield(run, reason="a tenant has no slot", at=AT + 6),
    "wake": lambda run: verbs.wake(runs.as_run({"due": AT, **run}), kind="timer", at=AT + 6),
    "make_token": lambda run: verbs.make_token(run, token=TOKEN, shard=0),
    "cancel": lambda run: verbs.cancel_waiting(run, reason="enough", at=AT + 6),
    "cancel_unqueued": lambda _: verbs.cancel_unqueued(project(), reason="enough", at=AT + 1),
    "ask_to_cancel": lambda run: verbs.ask_to_cancel(run, reason="enough", at=AT + 6),
    "stop": lambda run: end(run, runs.CANCELLED, runs.fact("RunCancelled", AT + 7, reason="enough")),
    "stop_lost": lambda run: verbs.stop_lost(runs.as_run({**run, "cancel": "enough"}), at=AT + 7),
    "pause": lambda run: verbs.pause_resting(run, reason="not now", at=AT + 6),
    "pause_unqueued": lambda _: verbs.pause_unqueued(project(), reason="not now", at=AT + 1),
    "ask_to_pause": lambda run: verbs.ask_to_pause(run, reason="not now", at=AT + 6),
    "pause_lost": lambda run: verbs.pause_lost(runs.as_run({**run, "pause": "not now"}), at=AT + 7),
    "resume": lambda run: verbs.resume(run, at=AT + 8),
    "withdraw_pause": lambda run: verbs.withdraw_pause(run, at=AT + 8),
    "answer": lambda run: answered(run, None),
    "answer_waited_for": lambda run: answered(runs.as_run({**run, "state": runs.WAITING}), "signal"),
    "retry": lambda run: verbs.retry(run, from_stage=None, edited={}, forget=(), digest="d", at=AT + 9),
}
"""Each verb of TRANSITIONS, by whoever has just read the run."""


async def apply(tables: Tables, write: Write) -> Outcome:
    [outcome] = await tables.write([write])
    return outcome


async def must(tables: Tables, write: Write) -> None:
    outcome = await apply(tables, write)
    match outcome:
        case Written():
            return
        case Refused() | Unsettled():
            raise AssertionError(outcome)
        case _:
            assert_never(outcome)


async def load(tables: Tables) -> Item | None:
    [item] = await tables.get([runs.run_key(RUN_ID)])
    return item


async def load_run(tables: Tables) -> RunItem:
    item = await load(tables)
    assert item is not None
    return runs.as_run(item)


async def run_in(tables: Tables, state: str) -> RunItem:
    """Brings the run into this state and returns it (the ghost of one, where there is none)."""
    if not state:
        return ghost()
    await must(tables, enqueue())
    if state == RETURNING:
        await must(tables, WRITES["pause"](await load_run(tables)))
        await must(tables, WRITES["resume"](await load_run(tables)))
        return await load_run(tables)
    if state != runs.QUEUED:
        await must(tables, WRITES["claim"](await load_run(tables)))
    if state in runs.RESTING:
        verb = "rest" if state == runs.WAITING else "pause_reached"
        await must(tables, WRITES[verb](await load_run(tables)))
    if state in runs.TERMINAL:
        await must(tables, end(await load_run(tables), state, runs.fact("RunCancelled", AT + 4, reason="enough")))
    return await load_run(tables)


async def load_project(tables: Tables) -> Item | None:
    [item] = await tables.get([project_key(PROJECT_ID)])
    return item
