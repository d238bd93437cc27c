"""Several shards: as many as an operator asks for, while everything runs; no token twice, none lost, no limit passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.orchestrator.faults import Crash, FaultyEngine
from tests.orchestrator.world import World, hints, run_of

from penstock_backbone.errors import Fatal, Retryable
from penstock_backbone.inventory import TOKENS
from penstock_backbone.records.limits import FLEET, SHARDS, Stated, board_key, in_use_key, limit_key
from penstock_backbone.records.runs import as_run
from penstock_backbone.records.shards import as_ledger, home_of, ledger_key
from penstock_backbone.records.tokens import HEAD_SK, token_sort_key
from penstock_backbone.records.verbs import cancel_waiting, pause_resting, resume
from penstock_backbone.vocabulary import Delete, Item, Key, Put, TransactionOutcome, TransactionPart
from penstock_orchestrator.bootstrap import Parts
from penstock_orchestrator.domain.hints import Hints

pytestmark = pytest.mark.anyio

TENANTS = ("acme", "bronze", "clover")
"""Of two shards the second, the first, the first; of three the second, the first, the third."""


async def turn(parts: Parts, with_hints: Hints | None = None) -> None:
    """By default everything is looked at."""
    with_hints = with_hints or Hints(everything=True)
    while not (await parts.admission.turn(with_hints)).finished:
        pass


async def submit(world: World, count: int, first: int = 1) -> list[str]:
    return [await world.submit(first + n, tenant=TENANTS[n % len(TENANTS)]) for n in range(count)]


def places(world: World) -> dict[str, set[str]]:
    """By run: the partitions in which its token stands."""
    images: dict[Key, Item | None] = {}
    for record in world.engine.storage.feed:
        if record.key.table == TOKENS and record.key.sk != HEAD_SK and record.key != ledger_key():
            images[record.key] = record.item
    found: dict[str, set[str]] = {}
    for key, item in images.items():
        if item is not None:
            found.setdefault(item["run"], set()).add(key.pk)
    return found


async def assert_at_home(world: World, shards: int) -> None:
    for run, partitions in places(world).items():
        tenant = (await world.run(run))["tenant"]
        assert partitions == {f"TK#{home_of(tenant, shards)}"}, run


async def test_one_shard_asks_for_nothing_more_than_before() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    await turn(parts, Hints())
    await submit(world, 2)
    await parts.sweep.turn()
    engine.tables.calls.clear()
    await turn(parts)
    assert engine.tables.calls == ["query", "get", "query"]
    engine.tables.calls.clear()
    await turn(parts, hints(projects=["prj_0001", "prj_0002"]))
    assert engine.tables.calls == ["get", "transact", "transact", "write_after"]
    assert await world.engine.tables.get([ledger_key()]) == [None]


@pytest.mark.parametrize("path", [(2,), (3,), (16,), (3, 2), (2, 1, 3), (4, 1)])
async def test_all_tokens_move_to_where_their_tenants_belong_and_every_run_has_its_turn(path: Sequence[int]) -> None:
    world = World()
    await world.limit(fleet=4, workflow_build=3)
    parts = world.orchestrator()
    projects = await submit(world, 12)
    await turn(parts, hints(projects=projects))
    for shards in path:
        await world.limit(shards=shards)
        await turn(parts, Hints(limits=True))
        await assert_at_home(world, shards)
        assert len(places(world)) == 12
    ended: set[str] = set()
    for _ in range(12):
        for run in sorted(world.held()):
            await world.finish(run, fence=world.tokens()[run]["f"])
            ended.add(run)
            await turn(parts, hints(runs=[run]))
    assert ended == set(map(run_of, projects))
    assert places(world) == {}
    assert world.most_held() == 3


async def test_who_goes_by_the_old_number_of_shards_is_refused_and_follows() -> None:
    world = World()
    await world.limit(fleet=3)
    old, new = world.orchestrator(), world.orchestrator()
    await turn(old)
    await world.limit(shards=2)
    await turn(new)
    projects = await submit(world, 3)
    await turn(old, hints(projects=projects))
    assert old.admission.shards.ledger.shards == 2
    assert len(world.held()) == 3
    await assert_at_home(world, 2)


async def test_a_token_that_an_old_orchestrator_leaves_in_a_shard_that_was_given_up_is_found() -> None:
    world = World()
    parts, late = world.orchestrator(), world.orchestrator()
    await world.limit(fleet=3, shards=2)
    await turn(late)
    await world.limit(shards=1)
    await turn(parts)
    (project,) = await submit(world, 1)
    assert home_of("acme", 2) == 1
    late_projects = await world.engine.tables.get([Key("projects", project, "PROJECT")])
    await late.admission._enqueue(late_projects)  # type: ignore[arg-type]  # dies before it decides
    assert places(world) == {run_of(project): {"TK#1"}}
    await turn(parts)
    assert places(world) == {run_of(project): {"TK#0"}}
    assert world.held() == {run_of(project)}


async def test_slots_go_to_the_shard_where_somebody_waits_and_back() -> None:
    world = World()
    await world.limit(fleet=4, shards=3)
    parts = world.orchestrator()
    await turn(parts)
    for tenant, first in (("acme", 1), ("bronze", 10), ("acme", 20)):
        projects = [await world.submit(first + n, tenant=tenant) for n in range(4)]
        await turn(parts, hints(projects=projects))
        assert world.held() == set(map(run_of, projects))
        for project in projects:
            await world.finish(run_of(project))
        await turn(parts, hints(runs=list(map(run_of, projects))))
    assert world.most_held() == 4


async def test_a_lowered_limit_drains_over_all_shards() -> None:
    world = World()
    await world.limit(fleet=6, shards=3)
    parts = world.orchestrator()
    await turn(parts)
    projects = await submit(world, 9)
    await turn(parts, hints(projects=projects))
    assert len(world.held()) == 6
    await world.limit(fleet=2)
    await turn(parts, Hints(limits=True))
    for left in (5, 4, 3, 2, 2, 2):
        run = min(world.held())
        await world.finish(run)
        await turn(parts, hints(runs=[run]))
        assert len(world.held()) == left


@pytest.mark.parametrize(("said", "most"), [(Stated(2), 2), (Stated(8, paused=True), 1)])
async def test_budgets_do_not_grow_on_a_limit_that_was_lowered_or_paused_meanwhile(said: Stated, most: int) -> None:
    world = World()
    await world.limit(fleet=1, shards=2)
    parts = world.orchestrator()
    await turn(parts)
    await turn(parts, hints(projects=await submit(world, 6)))
    assert len(world.held()) == 1
    await world.limit(fleet=8)
    transact = world.engine.tables.transact

    async def overtaken(parts: Sequence[TransactionPart]) -> TransactionOutcome:
        world.engine.tables.transact = transact  # type: ignore[method-assign]  # the engine's own port is put back
        await world.change(FLEET, said)
        return await transact(parts)

    world.engine.tables.transact = overtaken  # type: ignore[method-assign]  # somebody is faster, once
    await turn(parts, Hints(limits=True))
    assert len(world.held()) == most
    assert world.engine.tables.transact is transact


async def test_a_limit_that_is_taken_away_bounds_nobody_any_more() -> None:
    world = World()
    await world.limit(fleet=9, shards=2, workflow_build=1)
    parts = world.orchestrator()
    await turn(parts)
    projects = await submit(world, 4)
    await turn(parts, hints(projects=projects))
    assert len(world.held()) == 1
    await world.write(Put(limit_key("workflow#build"), {"limit": "none", "at": world.now_ms}))
    await turn(parts, Hints(limits=True))
    assert len(world.held()) == 4


async def test_a_damaged_limit_stays_at_its_last_good_value_and_holds_nobody_else_up() -> None:
    world = World()
    await world.limit(fleet=9, shards=2, workflow_build=1)
    parts = world.orchestrator()
    await turn(parts)
    await world.write(Put(limit_key("workflow#build"), {"limit": "many", "at": world.now_ms}))
    projects = await submit(world, 3)
    projects += [await world.submit(9, tenant="bronze", workflow="other")]
    await turn(parts, Hints(limits=True))
    await turn(parts, hints(projects=projects))
    assert len(world.held()) == 2


async def test_cancelling_sweeping_and_boards_work_in_every_shard() -> None:
    world = World()
    await world.limit(fleet=2, shards=3)
    parts = world.orchestrator()
    await turn(parts)
    projects = await submit(world, 6)
    await turn(parts, hints(projects=projects))
    await parts.boards.turn()
    for tenant in TENANTS:
        (board,) = await world.engine.tables.get([board_key(tenant)])
        assert board is not None
        assert board["waiting"] + board["held"] == 2
    (fleet, drawn) = await world.engine.tables.get([in_use_key("fleet"), in_use_key(SHARDS)])
    assert fleet is not None
    assert drawn is not None
    assert (fleet["held"], drawn["held"]) == (2, 3)
    waiting = [run for run in map(run_of, projects) if run not in world.held()]
    for run in waiting:
        await world.write(cancel_waiting(await world.run(run), reason="enough", at=world.now_ms))
    await turn(parts, Hints(ended={run: as_run(dict(await world.run(run))) for run in waiting}))
    assert places(world).keys() == world.held()
    held = world.held()
    for run in held:
        await world.finish(run)
    await parts.sweep.turn()
    world.clock.elapsed += 20.0
    found = await parts.sweep.turn()
    assert found.runs == held
    await turn(parts, found)
    assert places(world) == {}


class DyingTables:
    """Whoever makes its `last` transaction with the ledger dies of it: `before` or after it is committed."""

    def __init__(self, world: World, last: int, *, before: bool) -> None:
        self._tables: Any = world.engine.tables
        self._left = last
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables, name)

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        if parts[0].key == ledger_key():
            self._left -= 1
            if self._left == 0 and self._before:
                raise Crash
        outcome: TransactionOutcome = await self._tables.transact(parts)
        if parts[0].key == ledger_key() and self._left == 0:
            raise Crash
        return outcome


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("last", range(1, 9))
async def test_whoever_dies_in_the_middle_of_it_another_goes_on(last: int, *, before: bool) -> None:
    world = World()
    await world.limit(fleet=3)
    first = world.orchestrator()
    projects = await submit(world, 9)
    await turn(first, hints(projects=projects))
    engine = FaultyEngine(world.engine)
    engine.tables = DyingTables(world, last, before=before)  # type: ignore[assignment]  # speaks the same port
    dying = world.orchestrator(engine)
    try:
        for shards in (3, 2, 4, 1):
            await world.limit(shards=shards)
            await turn(dying)
    except Crash:
        pass
    other = world.orchestrator()
    await turn(other)
    (wish, item) = await world.engine.tables.get([limit_key(SHARDS), ledger_key()])
    assert wish is not None
    assert as_ledger(item).shards == wish["limit"]
    await assert_at_home(world, wish["limit"])
    assert len(places(world)) == 9
    assert len(world.held()) == 3
    assert world.most_held() == 3


@pytest.mark.parametrize("lost", ["lose_request", "lose_response"])
async def test_a_change_of_the_ledger_whose_answer_is_lost_is_made_once(lost: str) -> None:
    world = World()
    await world.limit(fleet=3, shards=2)
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    setattr(engine.tables, lost, ["transact"])
    await turn(parts)
    (item,) = await world.engine.tables.get([ledger_key()])
    assert (as_ledger(item).version, as_ledger(item).map) == (1, 1)
    assert parts.admission.shards.are_current


async def test_an_outcome_that_stays_unknown_is_looked_for_before_the_next_decision() -> None:
    world = World()
    await world.limit(fleet=3, shards=2)
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    engine.tables.lose_request = ["transact"] * 6
    with pytest.raises(Retryable):
        await parts.admission.turn(Hints())
    assert not parts.admission.shards.are_current
    await turn(parts)
    assert parts.admission.shards.ledger.shards == 2


async def test_without_the_ledger_that_heads_name_nothing_is_decided() -> None:
    world = World()
    await world.limit(fleet=3, shards=2)
    parts = world.orchestrator()
    await turn(parts)
    await world.write(Delete(ledger_key()))
    (project,) = await submit(world, 1)
    with pytest.raises(Fatal, match="restore the item SHARDS / LEDGER"):
        await world.orchestrator().admission.turn(hints(projects=[project]))
    assert world.held() == set()


class OldLedger:
    """Of several items it reads the ledger first, and `meanwhile` happens before it reads the others."""

    def __init__(self, world: World) -> None:
        self._tables: Any = world.engine.tables
        self.meanwhile: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables, name)

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        if keys[-1] != ledger_key():
            found: list[Item | None] = await self._tables.get(keys)
            return found
        (ledger,) = await self._tables.get([keys[-1]])
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            await happens()
        return [*(await self._tables.get(keys[:-1]) if keys[:-1] else []), ledger]


async def test_a_ledger_that_was_read_before_its_heads_were_fenced_is_read_again() -> None:
    world = World()
    await world.limit(fleet=4, shards=2)
    other = world.orchestrator()
    await turn(other)
    engine = FaultyEngine(world.engine)
    tables = OldLedger(world)
    engine.tables = tables  # type: ignore[assignment]  # speaks the same port
    parts = world.orchestrator(engine)

    async def budgets_move() -> None:
        projects = [await world.submit(n, tenant="acme") for n in range(1, 4)]
        await turn(other, hints(projects=projects))

    tables.meanwhile = budgets_move
    await turn(parts)
    assert parts.admission.shards.ledger == other.admission.shards.ledger
    assert token_sort_key("acme", 3, "run_0001") in parts.admission.shards.held


async def test_a_run_that_returns_after_its_tenant_has_moved_has_one_token_and_it_is_at_home() -> None:
    """Also where the orchestrator that makes it has not heard of the new map."""
    world = World()
    slow, fast = world.orchestrator(), world.orchestrator()
    project = await world.submit(1, tenant="acme")
    await turn(slow, hints(projects=[project]))
    run = run_of(project)
    await world.write(pause_resting(await world.run(run), reason="x", at=world.now_ms))
    await world.write(resume(await world.run(run), at=world.now_ms))
    await world.change(SHARDS, Stated(2))
    await turn(fast)
    await turn(slow, Hints(returning={run}))
    (token,) = world.tokens().values()
    assert token["pk"] == f"TK#{home_of('acme', 2)}"
    assert token["st"] == "held"
