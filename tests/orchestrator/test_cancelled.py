"""Runs that were cancelled: their tokens leave the line, or give their slot back, and a lost one does not come back."""

from __future__ import annotations

import pytest
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.test_gate import gate_of, limits, token
from tests.orchestrator.test_sweep import RUN, admitted, rounds
from tests.orchestrator.world import World, hints, run_of

from penstock_backbone.records.projects import as_project, project_key
from penstock_backbone.records.runs import run_key, story
from penstock_backbone.records.sessions import bury_session
from penstock_backbone.records.tokens import GRANT, RELEASE, WITHDRAW, Operation
from penstock_backbone.records.verbs import ask_to_cancel, cancel_unqueued, cancel_waiting
from penstock_backbone.vocabulary import StreamRecord
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.hints import Hints, glance

pytestmark = pytest.mark.anyio


async def cancelled(world: World, run: str) -> None:
    await world.write(cancel_waiting(await world.run(run), reason="enough", at=world.now_ms))


async def waiting_second(world: World, admission_engine: FaultyEngine | None = None) -> tuple[str, str]:
    """One run holds the only slot, the other waits."""
    await world.limit(fleet=1)
    one, two = await world.submit(1), await world.submit(2)
    parts = world.orchestrator(admission_engine)
    await parts.admission.turn(hints(projects=[one, two]))
    assert world.held() == {run_of(one)}
    return run_of(one), run_of(two)


@pytest.mark.parametrize("seen", ["on the bus", "in the records", "in a full reading afterwards"])
async def test_a_waiting_run_that_was_cancelled_leaves_the_line(seen: str) -> None:
    world = World()
    await world.limit(fleet=1)
    parts = world.orchestrator()
    one, two = await world.submit(1), await world.submit(2)
    await parts.admission.turn(hints(projects=[one, two]))
    await cancelled(world, run_of(two))
    item = await world.run(run_of(two))
    if seen == "in the records":
        (record,) = [each for each in world.engine.storage.feed if each.item == item][-1:]
        await parts.admission.turn(glance([StreamRecord(record.sequence, record.key, record.item)]))
    else:
        await parts.admission.turn(Hints(leaving={run_of(two)}, everything=seen.startswith("in a full")))
    assert world.tokens().keys() == {run_of(one)}
    assert parts.admission.shards[0].gate.board("acme", 10).waiting == 0
    await world.finish(run_of(one))
    await parts.admission.turn(hints(runs=[run_of(one)]))
    assert world.held() == set()


async def test_a_granted_run_that_was_cancelled_before_anybody_claimed_it_gives_its_slot_back() -> None:
    world = World()
    parts = world.orchestrator()
    await admitted(world, parts)
    await cancelled(world, RUN)
    await parts.admission.turn(Hints(leaving={RUN}))
    assert world.tokens() == {}


async def test_a_run_that_was_cancelled_before_it_was_enqueued_never_gets_a_token() -> None:
    world = World()
    project = await world.submit(1)
    (item,) = await world.engine.tables.get([project_key(project)])
    assert item is not None
    await world.write(cancel_unqueued(as_project(item), reason="enough", at=world.now_ms))
    await world.orchestrator().admission.turn(hints(projects=[project]))
    assert world.tokens() == {}
    assert (await world.run(RUN))["state"] == "cancelled"


async def test_a_run_that_was_to_be_cancelled_ends_when_its_runner_is_lost() -> None:
    world = World()
    parts = world.orchestrator()
    await world.open_session("ses_1")
    await admitted(world, parts)
    run = await world.claim(RUN)
    await world.write(ask_to_cancel(run, reason="enough", at=world.now_ms), bury_session("ses_1"))
    await rounds(world, parts, 2)
    run = await world.run(RUN)
    assert run["state"] == "cancelled"
    assert [each["t"] for _, each in story(run)][-2:] == ["RunCancelRequested", "RunCancelled"]
    assert world.tokens() == {}


async def test_a_run_that_waits_is_not_taken_for_cancelled() -> None:
    world = World()
    await world.limit(fleet=0)
    parts = world.orchestrator()
    project = await world.submit(1)
    await parts.admission.turn(hints(projects=[project]))
    await parts.admission.turn(Hints(leaving={run_of(project), "run_unknown"}))
    assert world.tokens().keys() == {run_of(project)}
    assert await world.engine.tables.get([run_key("run_unknown")]) == [None]


def test_a_decision_takes_out_of_the_line_only_what_waits_there_under_that_fence() -> None:
    now = limits(1)
    gate = gate_of(waiting=[token("1", at=1, fence=2), token("2", at=2)], held=[token("3", fence=1)], limits=now)
    keys = {each.run: each.key for each in [*gate.waiting.values(), *gate.held.values()]}
    late = Operation(WITHDRAW, keys["1"], 1)
    held = Operation(WITHDRAW, keys["3"], 1)
    right = Operation(WITHDRAW, keys["1"], 2)
    freed = Operation(RELEASE, keys["3"], 1)
    assert decide(gate, now, [late, held, right, freed]).operations == (
        right,
        freed,
        Operation(GRANT, keys["2"], 1),
    )
    assert keys["1"] in gate.waiting, "only a committed decision counts"
    for operation in (right, right):
        gate.apply(operation)
    assert keys["1"] not in gate.waiting
