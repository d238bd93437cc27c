"""The simulation's streams tell what the memory engine's tell, and its tables answer alike, whatever a program does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from tests.contract.contract_inventory import CONTRACT, OTHERS, THINGS
from tests.contract.programs import Step, compare, programs, reproducible
from tests.contract.stream_programs import StreamStep, Where, compare_streams, stream_programs
from tests.simulation import network as network_module
from tests.simulation.brokers import QueueBroker, StreamBroker
from tests.simulation.loop import SimulationLoop
from tests.simulation.machine import LocalClock, NumberedIds, Process
from tests.simulation.network import Network
from tests.simulation.ports import SimulatedEngine
from tests.simulation.sightings import Sightings
from tests.simulation.stories import Announced
from tests.simulation.trace import Trace

from penstock_backbone.inventory import INVENTORY, PROJECTS, RELAY, RUNS, Inventory
from penstock_backbone.memory import MemoryEngine

WHERE = Where(INVENTORY, {THINGS: RUNS, OTHERS: PROJECTS}, RELAY, None)


@settings(reproducible, max_examples=40)
@given(program=stream_programs)
def test_the_simulation_tells_what_the_memory_engine_tells(program: list[StreamStep]) -> None:
    _played(INVENTORY, lambda simulated: compare_streams(simulated, program, WHERE))


@settings(reproducible, max_examples=25)
@given(program=programs)
def test_the_simulation_answers_what_the_memory_engine_answers(program: list[Step]) -> None:
    _played(CONTRACT, lambda simulated: compare(simulated.tables, program))


def _played(inventory: Inventory, comparing: Callable[[SimulatedEngine], Coroutine[Any, Any, None]]) -> None:
    loop = SimulationLoop(None, steps_max=100_000)
    clock = LocalClock(loop)
    engine = MemoryEngine(clock, NumberedIds(clock, 0), inventory)
    network = Network(loop, engine, Sightings(), Trace(), seed=1, latency=0.01)
    process = Process(loop, "reader", seed=1, life=1, rate=1.0)
    simulated = SimulatedEngine(process, network, QueueBroker(network, 1), StreamBroker(network), Announced())
    with pytest.MonkeyPatch.context() as patches:
        # Services never make a call that no repetition helps; these programs make some, to be refused alike.
        patches.setattr(network_module, "demand", lambda *_: None)
        loop.run(comparing(simulated))
