"""Asking runs to yield: one transaction with what it was decided from, once, and the slot goes where it was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.limits import set_limit
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.world import World, hints, run_of

from penstock_backbone.records.limits import FLEET, Stated
from penstock_backbone.records.runs import QUEUED, end_run, fact, run_key
from penstock_backbone.records.yields import Asks, as_asks, asks_key
from penstock_backbone.vocabulary import Item, Key, StreamRecord
from penstock_orchestrator.bootstrap import Parts
from penstock_orchestrator.domain.hints import Hints, glance

pytestmark = pytest.mark.anyio


async def starving(*, yields: bool = True, claimed: bool = True) -> tuple[World, Parts]:
    """`loud` has runs 1 and 2 in the two slots of the fleet and run 3 in the line, and run 4 of `quiet` waits."""
    world = World()
    await world.write(set_limit(FLEET, limit=2, at=1, yields=yields))
    await world.open_session("ses_1")
    parts = world.orchestrator()
    for number in 1, 2, 3:
        await world.submit(number, tenant="loud")
    await parts.admission.turn(hints(projects=[f"prj_000{number}" for number in (1, 2, 3)], limits=True))
    for number in (1, 2) if claimed else ():
        world.clock.elapsed += 10
        await world.claim(run_of(f"prj_000{number}"))
    await world.submit(4, tenant="quiet")
    await parts.admission.turn(hints(projects=["prj_0004"]))
    return world, parts


async def asks(world: World) -> Asks:
    (item,) = await world.engine.tables.get([asks_key()])
    return as_asks(item)


async def wishes(world: World) -> list[str]:
    return [name for name in ("run_0001", "run_0002") if "yielding" in await world.run(name)]


async def yielded(world: World, name: str) -> None:
    """As its runner writes it."""
    run = await world.run(name)
    told = [fact("RunRequeued", world.now_ms, reason="it yielded")]
    await world.write(
        end_run(
            run, state=QUEUED, fence=run["fence"], seq=run["seq"], facts=told, results={}, attempt=run["attempt"] - 1,
            at=world.now_ms,
        )
    )  # fmt: skip


async def test_the_longest_running_run_is_asked_once_and_its_slot_goes_to_who_has_none() -> None:
    world, parts = await starving()
    for _ in range(3):
        await parts.yields.turn()
    assert await wishes(world) == ["run_0001"]
    run = await world.run("run_0001")
    assert (run["facts"][str(run["seq"])]["t"], run["yields"]) == ("RunYieldRequested", 1)
    assert len((await asks(world)).standing) == 1

    await yielded(world, "run_0001")
    run = await world.run("run_0001")
    assert (run["state"], run["attempt"], "yielding" in run) == (QUEUED, 0, False)
    seen = glance([StreamRecord("1", run_key("run_0001"), dict(run))])
    assert seen.runs == {"run_0001"}, "told at once"
    await parts.admission.turn(seen)
    assert world.held() == {"run_0002", "run_0004"}
    await parts.yields.turn()
    assert await wishes(world) == []


async def test_a_run_that_has_yielded_is_let_in_before_those_that_came_after_it() -> None:
    world, parts = await starving()
    await parts.yields.turn()
    await yielded(world, "run_0001")
    await parts.admission.turn(Hints(runs={"run_0001"}))
    await world.finish("run_0002")
    await parts.admission.turn(Hints(runs={"run_0002"}))
    assert world.held() == {"run_0001", "run_0004"}
    assert world.granted()[-1] == "run_0001"


async def test_nobody_is_asked_before_somebody_wants_it_and_from_then_on_at_the_next_decision() -> None:
    world, parts = await starving(yields=False)
    await parts.yields.turn()
    assert await wishes(world) == []
    await world.change(FLEET, Stated(2, yields=True))
    await parts.admission.turn(hints(limits=True))
    await parts.yields.turn()
    assert await wishes(world) == ["run_0001"]


async def test_what_is_granted_and_not_claimed_is_not_asked_yet() -> None:
    world, parts = await starving(claimed=False)
    await parts.yields.turn()
    assert (await asks(world)).version == 0
    await world.claim("run_0002")
    await parts.yields.turn()
    assert await wishes(world) == ["run_0002"]


async def test_two_orchestrators_ask_for_one_tenant_once() -> None:
    world, first = await starving()
    second = world.orchestrator()
    await second.admission.turn(Hints())
    await first.yields.turn()
    await second.yields.turn()
    assert await wishes(world) == ["run_0001"]
    assert (await asks(world)).version == 1


async def test_who_has_not_seen_the_last_decision_asks_nobody() -> None:
    world, first = await starving()
    second = world.orchestrator()
    await second.admission.turn(Hints())
    await world.finish("run_0002")
    await first.admission.turn(Hints(runs={"run_0002"}))
    assert world.held() == {"run_0001", "run_0004"}
    await second.yields.turn()
    assert await wishes(world) == []


async def test_who_hears_in_the_middle_of_it_that_it_was_switched_off_asks_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, parts = await starving()
    get = world.engine.tables.get

    async def switched_off_meanwhile(keys: Sequence[Key]) -> list[Item | None]:
        found = await get(keys)
        await world.write(set_limit(FLEET, limit=2, at=2))
        await parts.admission.limits.read()
        return found

    monkeypatch.setattr(world.engine.tables, "get", switched_off_meanwhile)
    await parts.yields.turn()
    monkeypatch.undo()
    assert await wishes(world) == []


async def test_who_has_not_seen_that_it_was_switched_off_asks_nobody() -> None:
    world, parts = await starving()
    await world.change(FLEET, Stated(2))
    await parts.yields.turn()
    assert await wishes(world) == []


@pytest.mark.parametrize("lost", ["lose_request", "lose_response"])
async def test_an_ask_whose_answer_is_lost_is_not_made_twice(lost: str) -> None:
    world, _ = await starving()
    faults = FaultyEngine(world.engine)
    parts = world.orchestrator(faults)
    await parts.admission.turn(Hints())
    getattr(faults.tables, lost).append("transact")
    for _ in range(2):
        await parts.yields.turn()
    assert len(await wishes(world)) == 1
    assert len((await asks(world)).standing) == 1
