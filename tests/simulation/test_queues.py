"""The simulation's queues are harsh within what the port promises."""

from __future__ import annotations

from tests.simulation.brokers import QueueBroker
from tests.simulation.loop import SimulationLoop
from tests.simulation.machine import LocalClock, NumberedIds
from tests.simulation.network import Network, at_once
from tests.simulation.sightings import Sightings
from tests.simulation.trace import Trace

from penstock_backbone.inventory import ADMISSION_QUEUE, INVENTORY
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.vocabulary import Outgoing


def test_messages_that_are_shown_early_again_and_again_are_not_put_aside_for_that() -> None:
    """Seed 90048439: six faults at other messages within 4 s used up what twelve hints had left of their receives."""
    loop = SimulationLoop(None, steps_max=10_000)
    clock = LocalClock(loop)
    engine = MemoryEngine(clock, NumberedIds(clock, 0))
    broker = QueueBroker(Network(loop, engine, Sightings(), Trace(), seed=1, latency=0.01), 1)
    broker.accept(ADMISSION_QUEUE, Outgoing("a hint"))
    receives = []
    for _ in range(2 * INVENTORY.queue(ADMISSION_QUEUE).receives_max):
        receives += [message.receives for message in at_once(engine.queues.receive(ADMISSION_QUEUE, 10, 0.0))]
        broker.show_all(ADMISSION_QUEUE)
    assert receives == [1, 2, 3, 4]
    assert (broker.size(ADMISSION_QUEUE), broker.size(f"{ADMISSION_QUEUE}-dlq")) == (1, 0)
