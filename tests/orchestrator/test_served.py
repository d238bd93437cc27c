"""What no live runner serves is skipped, blocks nobody, and is let in as soon as somebody serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.test_gate import gate_of, granted, limits, token
from tests.orchestrator.test_lambdas import CONTEXT, MemoryContainer
from tests.orchestrator.test_sweep import round_of, rounds
from tests.orchestrator.world import World, hints, run_of

from penstock_backbone.errors import Retryable
from penstock_backbone.records.sessions import (
    DEAD,
    DRAINING,
    LIVE,
    SERVES_BYTES_MAX,
    beat,
    bury_session,
    drain_session,
    open_session,
    served_by,
)
from penstock_backbone.records.tokens import (
    REQUEUE,
    Operation,
    apply_operation,
    as_token,
    commit_head,
    pending,
    return_token,
)
from penstock_backbone.vocabulary import Item, Query
from penstock_orchestrator import lambdas
from penstock_orchestrator.adapters.lambda_host import LocalContext
from penstock_orchestrator.bootstrap import Parts
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.hints import Hints
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.domain.watchlist import CLAIM_SECONDS
from penstock_orchestrator.handlers.admission import Turn
from penstock_orchestrator.handlers.fleet import FRESH_SECONDS

pytestmark = pytest.mark.anyio


# --- what is served ----------------------------------------------------------------------------------


def session(st: str, *serves: str) -> Item:
    return {"st": st, "serves": list(serves)}


@pytest.mark.parametrize(
    ("sessions", "served"),
    [
        pytest.param([session(LIVE, "a@1", "b@2")], {"a", "a@1", "b", "b@2"}, id="versions, and any of the workflow"),
        pytest.param([session(LIVE, "a@1"), session(LIVE, "a@2")], {"a", "a@1", "a@2"}, id="what any of them serves"),
        pytest.param([session(LIVE)], set(), id="a runner that serves nothing"),
        pytest.param(
            [session(LIVE, "a@1"), session(DRAINING, "b@1")], {"a", "a@1"}, id="not what one that drains does"
        ),
        pytest.param([session(LIVE, "a@1"), session(DEAD, "b@1")], {"a", "a@1"}, id="not what a dead one did"),
        pytest.param([session(LIVE, "a@1"), {"st": LIVE}], None, id="anything, when one has not said it"),
        pytest.param([session(LIVE, "a@1"), {"st": LIVE, "serves": [7]}], None, id="anything, when one is damaged"),
        pytest.param([], None, id="anything, while nobody is there"),
        pytest.param([session(DRAINING, "a@1"), session(DEAD, "a@1")], None, id="anything, while all of them leave"),
    ],
)
def test_what_the_runners_serve(sessions: list[Item], served: set[str] | None) -> None:
    assert served_by(sessions) == (None if served is None else frozenset(served))


def test_a_runner_that_serves_more_than_fits_its_session_does_not_say_it() -> None:
    most = [f"workflow_{number:03d}@1" for number in range(SERVES_BYTES_MAX // len("workflow_000@1"))]
    assert open_session("ses_1", capacity=1, at=1, serves=most).item["serves"] == most
    assert "serves" not in open_session("ses_1", capacity=1, at=1, serves=[*most, "one_more@1"]).item


# --- the decision ------------------------------------------------------------------------------------


def next_of(gate: Gate) -> str | None:
    token = gate.next()
    return None if token is None else token.run


def test_what_nobody_serves_is_skipped_and_blocks_nobody() -> None:
    waiting = [token("1", version="1"), token("2"), token("3", workflow="other"), token("4", tenant="b", version="2")]
    gate = gate_of(waiting=waiting, limits=limits(1))
    assert granted(gate, limits(1, served=())) == []
    assert granted(gate, limits(1, served=("w", "w@2"))) == ["2"]
    assert granted(gate, limits(9, served=("w", "w@2"))) == ["2", "4"]
    assert granted(gate, limits(9, served=("other",))) == ["3"]
    assert granted(gate, limits(9)) == ["1", "4", "2", "3"]


def test_what_nobody_serves_keeps_its_place() -> None:
    gate = gate_of(waiting=[token("1", version="1"), token("2", at=1)], limits=limits(served=("w",)))
    assert gate.board("a", 10).places == ["1", "2"]
    assert next_of(gate) == "2"
    gate.obey(limits(served=("w", "w@1")))
    assert next_of(gate) == "1"


def test_a_token_that_is_taken_back_waits_for_the_version_that_its_run_keeps() -> None:
    held = token("1", fence=1)
    gate = gate_of(held=[held], limits=limits(served=("w", "w@2")))
    gate.apply(Operation(REQUEUE, held.key, 1, "1"))
    assert gate.next() is None
    gate.obey(limits(served=("w", "w@1")))
    assert next_of(gate) == "1"


def test_only_a_run_that_has_a_version_makes_the_redo_list_longer() -> None:
    with_it, without = Operation(REQUEUE, "a#3#run_1", 2, "1"), Operation(REQUEUE, "a#3#run_2", 2)
    head = commit_head(0, seq=0, operations=[with_it, without], commit_id="c").set
    assert head["pend"] == [["requeue", "a#3#run_1", 2, "1"], ["requeue", "a#3#run_2", 2]]
    assert pending(head) == [with_it, without]
    assert apply_operation(0, without) == apply_operation(0, with_it._replace(token="a#3#run_2", version=""))


# --- from sessions to grants -------------------------------------------------------------------------


async def living(world: World, parts: Parts, seconds: float, *sessions: str) -> None:
    """Time passes in which those runners are heard."""
    for _ in range(round(seconds)):
        world.beats += 1
        await world.write(*(beat(session, hb=world.beats) for session in sessions))
        await rounds(world, parts, 1)


async def begun_and_lost(world: World, *, version: str = "1") -> str:
    """A run that began with the version, and whose runner is gone before anybody looks."""
    project = await world.submit(1)
    run = run_of(project)
    parts = world.orchestrator()
    await world.open_session("ses_old", f"build@{version}")
    await parts.admission.turn(hints(projects=[project]))
    await world.claim(run, session="ses_old", version=version)
    await world.write(bury_session("ses_old"))
    return run


async def test_a_run_whose_version_nobody_serves_takes_no_slot_from_another() -> None:
    world = World()
    await world.limit(fleet=1)
    run = await begun_and_lost(world)
    await world.open_session("ses_new", "build@2")
    parts = world.orchestrator()
    await parts.admission.turn(Hints())
    await rounds(world, parts, 1)
    assert world.held() == set()
    other = await world.submit(2)
    await parts.admission.turn(hints(projects=[other]))
    assert world.held() == {run_of(other)}
    await world.finish(run_of(other))
    await parts.admission.turn(hints(runs=[run_of(other)]))
    grants = len(world.granted())
    await living(world, parts, 60, "ses_new")
    assert len(world.granted()) == grants, f"{run} was let in and taken back"


@pytest.mark.parametrize("anew", [False, True], ids=["the same orchestrator", "one that begins anew"])
async def test_a_runner_that_serves_it_wakes_the_admission_within_one_turn_of_the_sweep(*, anew: bool) -> None:
    world = World()
    run = await begun_and_lost(world)
    await world.open_session("ses_new", "build@2")
    parts = world.orchestrator()
    await parts.admission.turn(Hints())
    await rounds(world, parts, 2)
    assert world.held() == set()
    if anew:
        parts = world.orchestrator()
        await parts.admission.turn(Hints())
        assert world.held() == set(), "the token itself says which version its run keeps"
    await world.open_session("ses_back", "build@1", "build@2")
    await round_of(world, parts)
    assert world.held() == {run}


async def test_a_change_that_a_sweep_saw_and_could_not_tell_is_told_by_the_next() -> None:
    world = World()
    run = await begun_and_lost(world)
    await world.open_session("ses_new", "build@2")
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    await parts.admission.turn(Hints())
    await rounds(world, parts, 3)
    await world.open_session("ses_back", "build@1")
    engine.tables.lose_request += ["write"]
    await world.write(bury_session("ses_new"))
    with pytest.raises(Retryable):
        await parts.sweep.turn()
    await round_of(world, parts)
    assert world.held() == {run}
    assert not (await parts.sweep.turn()).runners, "and only once"


async def test_a_grant_that_nobody_serves_any_more_is_taken_back_and_not_made_again() -> None:
    world = World()
    parts = world.orchestrator()
    await world.open_session("ses_1", "build@1")
    await world.open_session("ses_2", "other@1")
    project = await world.submit(1)
    await parts.sweep.turn()
    await parts.admission.turn(hints(projects=[project]))
    assert world.held() == {run_of(project)}
    await world.write(drain_session("ses_1"))
    await living(world, parts, CLAIM_SECONDS - 1, "ses_2")
    assert world.held() == {run_of(project)}, "who served it may be back in a moment"
    await living(world, parts, 3, "ses_2")
    assert world.held() == set(), "it was not sent again: nobody is there who could take it"
    await living(world, parts, 30, "ses_2")
    assert len(world.granted()) == 1


async def test_a_fleet_that_begins_or_begins_anew_is_given_grants_before_it_is_there() -> None:
    world = World()
    parts = world.orchestrator()
    first, second = await world.submit(1), await world.submit(2)
    await parts.admission.turn(hints(projects=[first]))
    assert world.held() == {run_of(first)}
    await world.open_session("ses_1", "build@1")
    await rounds(world, parts, 1)
    await world.write(drain_session("ses_1"))
    await rounds(world, parts, 1)
    await parts.admission.turn(hints(projects=[second]))
    assert world.held() == {run_of(first), run_of(second)}


async def test_a_token_that_is_made_again_says_the_version_that_its_run_began_with() -> None:
    world = World()
    project = await world.submit(1)
    await (parts := world.orchestrator()).admission.turn(hints(projects=[project]))
    run = await world.claim(run_of(project), version="7")
    token = return_token(run, token="acme#3#run_0001", shard=0)
    assert token.item["ver"] == "7"
    assert Token.of(as_token({"sk": "acme#3#run_0001", **token.item})).needs == "build@7"
    assert parts.admission.shards[0].gate.held["acme#3#run_0001"].needs == "build", "it was let in before it began"


# --- what it costs -----------------------------------------------------------------------------------


def queries_of_sessions(engine: FaultyEngine) -> list[Query]:
    """Noted from now on."""
    found: list[Query] = []
    real = engine.tables.query

    async def query(asked: Query) -> object:
        if asked.table == "sessions":
            found.append(asked)
        return await real(asked)

    engine.tables.query = query  # type: ignore[method-assign, assignment]  # a spy on one call
    return found


async def test_an_admission_reads_no_sessions_beside_a_sweep() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    queries = queries_of_sessions(engine)
    await parts.admission.turn(Hints())
    assert len(queries) == 1, "at the start, because nobody has swept yet"
    for number in range(1, 6):
        await parts.sweep.turn()
        await parts.admission.turn(hints(projects=[await world.submit(number)]))
        world.clock.elapsed += FRESH_SECONDS / 2
        await parts.admission.turn(hints(everything=True))
    assert len(queries) == 1 + 5


async def test_an_admission_without_a_sweep_reads_them_when_it_reads_everything_and_never_else() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    queries = queries_of_sessions(engine)
    for number in range(1, 6):
        await parts.admission.turn(hints(everything=True))
        await parts.admission.turn(hints(projects=[await world.submit(number)]))
        assert len(queries) == number


async def test_sessions_that_cannot_be_read_keep_nobody_waiting() -> None:
    world = World()
    engine = FaultyEngine(world.engine)
    parts = world.orchestrator(engine)
    real = engine.tables.query

    async def query(asked: Query) -> object:
        if asked.table == "sessions":
            engine.tables.lose_request.append("query")
        return await real(asked)

    engine.tables.query = query  # type: ignore[method-assign, assignment]  # fails one table alone
    project = await world.submit(1)
    await parts.admission.turn(hints(projects=[project], everything=True))
    assert world.held() == {run_of(project)}


class Clouds:
    """Containers of the two functions that admit."""

    def __init__(self, world: World) -> None:
        self.admission, self._sweep = MemoryContainer(world), MemoryContainer(world)
        self.parts_of_sweep = self._sweep.parts

    def admit(self, *projects: str) -> None:
        given = hints(projects=projects, everything=True)
        self.admission.run(lambdas._admit(self.admission, given, CONTEXT))  # type: ignore[arg-type]  # what is read of a container

    def sweep(self, context: LocalContext = CONTEXT) -> None:
        self._sweep.run(lambdas._sweep(self._sweep, context))  # type: ignore[arg-type]  # what is read of a container

    def close(self) -> None:
        self.admission.close()
        self._sweep.close()


@pytest.fixture
def clouds() -> Iterator[tuple[World, Clouds]]:
    world = World()
    clouds = Clouds(world)
    yield world, clouds
    clouds.close()


def test_on_lambda_too_what_nobody_serves_is_skipped_until_a_sweep_sees_a_runner_that_does(
    clouds: tuple[World, Clouds],
) -> None:
    world, cloud = clouds
    run = asyncio.run(begun_and_lost(world))
    asyncio.run(world.open_session("ses_new", "build@2"))
    cloud.sweep()
    cloud.admit()
    assert world.held() == set()
    asyncio.run(world.open_session("ses_back", "build@1"))
    cloud.sweep()
    assert world.held() == {run}


def test_on_lambda_a_run_is_let_in_that_the_sweeps_container_had_not_heard_of(clouds: tuple[World, Clouds]) -> None:
    world, cloud = clouds
    asyncio.run(world.open_session("ses_1", "other@1"))
    cloud.sweep()
    project = asyncio.run(world.submit(1))
    cloud.admit(project)
    assert world.held() == set()
    asyncio.run(world.open_session("ses_2", "build@1"))
    cloud.sweep()
    assert world.held() == {run_of(project)}


def test_on_lambda_a_run_that_was_on_its_way_when_the_sweep_looked_is_let_in_by_the_next_turn(
    clouds: tuple[World, Clouds], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, cloud = clouds
    project = asyncio.run(world.submit(1))
    cloud.sweep()
    asyncio.run(world.open_session("ses_1", "build@1"))

    async def late(hints: Hints) -> Turn:
        """Another container, which has not seen the runner, enqueues it after this one has read everything."""
        turn = await turn_of(hints)
        monkeypatch.undo()
        other = world.orchestrator()
        other.admission.limits.serve(frozenset())
        other.admission.fleet._spared_until = world.clock.monotonic() + FRESH_SECONDS
        await other.admission.turn(Hints({project: run_of(project)}))
        return turn

    turn_of = cloud.parts_of_sweep.admission.turn
    monkeypatch.setattr(cloud.parts_of_sweep.admission, "turn", late)

    begun = world.clock.elapsed

    class TwoTurns(LocalContext):
        def get_remaining_time_in_millis(self) -> int:
            return 60_000 if world.clock.elapsed == begun else 0

    cloud.sweep(TwoTurns("sweep", "req_1"))
    assert world.held() == {run_of(project)}
