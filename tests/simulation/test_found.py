"""What seeds have found, each as a small story of its own, because a seed's schedule changes with the code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.runner.inline_workers import InlineWorkers
from tests.simulation.loop import SimulationLoop
from tests.simulation.machine import LocalClock, NumberedIds, SeededChance, stream_of
from tests.simulation.plan import COMMIT, RUNNERS, Fault, plan_of
from tests.simulation.violations import Violation
from tests.simulation.world import simulate
from tests.simulation.yields import Yields

from penstock_backbone.errors import Retryable
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records.limits import FLEET, tenant_scope
from penstock_backbone.records.sessions import SELF_FENCE_SECONDS, expire_session, forget_session
from penstock_backbone.records.yields import Ask, Asks
from penstock_backbone.telemetry import silent
from penstock_backbone.vocabulary import Outcome, Write
from penstock_runner.handlers.session import Heartbeat
from penstock_runner.ports import World

FIRST = "ses_first"


class LostAnswers:
    """Writes arrive, and while it is deaf nobody hears so."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._tables = engine.tables
        self.deaf = True

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = await self._tables.write(writes)
        if self.deaf:
            raise Retryable("no answer came")
        return outcomes


def play(story: Callable[[Heartbeat, LostAnswers, MemoryEngine, LocalClock], Awaitable[None]]) -> None:
    loop = SimulationLoop(None, steps_max=10_000)
    clock = LocalClock(loop)
    ids = NumberedIds(clock, 1)
    engine = MemoryEngine(clock, ids)
    tables: Any = LostAnswers(engine)
    chance = SeededChance(stream_of(1, "chance"))
    world = World(
        tables=tables,
        queues=engine.queues,
        blobs=engine.blobs,
        clock=clock,
        ids=ids,
        chance=chance,
        telemetry=silent(),
        workers=InlineWorkers(),
    )

    async def played() -> None:
        await story(Heartbeat(world, capacity=1, serves=(), first_session=FIRST), tables, engine, clock)

    loop.run(played())


def test_a_session_that_may_have_lived_and_been_forgotten_does_not_live_again() -> None:
    """Seed 2082: the sweep took the new session for the old one, and freed slots while their runs executed (I5)."""

    async def story(heartbeat: Heartbeat, tables: LostAnswers, engine: MemoryEngine, clock: LocalClock) -> None:
        await heartbeat.turn()
        await clock.sleep(11.0)
        await engine.tables.write([expire_session(FIRST, hb=0)])
        await engine.tables.write([forget_session(FIRST)])
        tables.deaf = False
        await heartbeat.turn()
        assert heartbeat.session is not None
        assert heartbeat.session.id != FIRST

    play(story)


def test_the_lease_of_a_session_runs_from_when_it_was_first_asked_for() -> None:
    """Whoever judges leases has seen it since then, so its runner must not count from the later answer."""

    async def story(heartbeat: Heartbeat, tables: LostAnswers, _engine: MemoryEngine, clock: LocalClock) -> None:
        await heartbeat.turn()
        await clock.sleep(5.0)
        tables.deaf = False
        wait_seconds = await heartbeat.turn()
        assert heartbeat.session is not None
        assert heartbeat.session.id == FIRST
        assert wait_seconds == 0.0
        assert heartbeat.session.is_over(SELF_FENCE_SECONDS)

    play(story)


def test_a_runner_that_waits_for_the_answer_to_a_handing_back_executes_nothing() -> None:
    """Seed 50000467: the rule took it for one that works without a slot (I5)."""
    faults = [Fault(at, "slow answer", name, COMMIT, 5.0) for name in RUNNERS for at in (4.0, 4.1, 4.2, 4.3)]
    faults += [Fault(4.5, "deployed", name) for name in RUNNERS]
    assert simulate(replace(plan_of(1), runs=12, fleet=8, submit_seconds=4.0, faults=tuple(faults))).violation is None


def asked_twice(held: dict[str, int]) -> None:
    """A run of acme's is asked to yield while acme holds two slots; then, when `held` is what is held, one of bronze's."""
    first, second = Ask("acme#1", 1), Ask("bronze#1", 1)
    tokens = {
        name: {"tenant": name.partition("#")[0], "st": "held", "run": name}
        for name in ("acme#1", "acme#2", "bronze#1", "bronze#2")
    }
    tokens |= {name: {"tenant": name, "st": "waiting", "run": name} for name in ("clover", "dahlia")}
    ledger = SimpleNamespace(tokens=tokens, held={"acme#1": 1, "acme#2": 1, "bronze#1": 1, "bronze#2": 1})
    ledger.in_use = lambda scope: sum(scope in (FLEET, tenant_scope(tokens[name]["tenant"])) for name in ledger.held)
    rule = Yields(ledger, {})  # type: ignore[arg-type]  # what the rule looks at
    rule.switched({"limit": 4, "yields": True})
    rule.asked(Asks(1, "", (first,)), lambda _scope: range(1, 2))
    ledger.held = held
    rule.switched({"limit": len(held), "yields": True})
    rule.asked(Asks(2, "", (first, second)), lambda _scope: range(1, 2))


def test_a_run_that_was_rightly_asked_to_yield_may_be_its_tenants_last_by_now() -> None:
    """Seed 82000762: acme's other run had ended, and the rule took the old ask for a new one (I18)."""
    asked_twice({"acme#1": 1, "bronze#1": 1, "bronze#2": 1})


def test_nobody_is_asked_anew_for_the_slot_that_its_tenant_is_owed() -> None:
    with pytest.raises(Violation, match="I18: bronze would yield what it is owed"):
        asked_twice({"acme#1": 1, "acme#2": 1, "bronze#1": 1})
