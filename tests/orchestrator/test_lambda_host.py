"""The local host for the aws engine calls each Lambda function with AWS's events, in a container of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.orchestrator.test_lambdas import NAMES, MemoryContainer
from tests.orchestrator.world import EvenChance, World, run_of

from penstock_backbone.errors import Retryable
from penstock_backbone.inventory import ADMISSION_QUEUE, RELAY
from penstock_backbone.telemetry import silent
from penstock_backbone.vocabulary import Outgoing
from penstock_orchestrator import lambdas
from penstock_orchestrator.adapters.lambda_host import LocalFunction, MessagesToFunction, RecordsToFunction
from penstock_orchestrator.bootstrap import Surroundings

pytestmark = pytest.mark.anyio


class Containers:
    """Opens one over the world's engine for each function that is invoked."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.opened = 0

    def open(self, environment: Mapping[str, str]) -> MemoryContainer:
        self.opened += 1
        return MemoryContainer(self.world)


def function(world: World, name: str, handler: Any) -> LocalFunction:
    return LocalFunction(name, handler, Surroundings(world.clock, world.ids, EvenChance(), silent()))


async def test_records_and_messages_travel_as_in_aws_through_functions_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    containers = Containers(world)
    monkeypatch.setattr(lambdas, "open_container", containers.open)
    relay = function(world, "relay", lambdas.relay_handler)
    admission = function(world, "admission", lambdas.admission_handler)
    project = await world.submit(1)
    records = await world.engine.streams.read(RELAY, 100, 0.0)
    assert await RecordsToFunction(relay, NAMES)(records) is None
    await world.engine.queues.send(ADMISSION_QUEUE, [Outgoing("nonsense")])
    await MessagesToFunction(admission, world.engine.queues, NAMES).turn()
    assert world.held() == {run_of(project)}
    world.clock.elapsed += 3600
    (left,) = await world.engine.queues.receive(ADMISSION_QUEUE, 10, 0.0)
    assert left.body == "nonsense", "what the function failed is not deleted"
    assert containers.opened == 2
    await relay.close()
    await admission.close()


async def test_the_failure_that_a_function_reports_is_that_of_the_batch() -> None:
    world = World()
    for number in (1, 2, 3):
        await world.submit(number)
    records = await world.engine.streams.read(RELAY, 100, 0.0)

    def fails(event: Mapping[str, Any], _: lambdas.Context) -> Any:
        return {
            "batchItemFailures": [
                {"itemIdentifier": each["dynamodb"]["SequenceNumber"]} for each in event["Records"][1:]
            ]
        }

    failing = function(world, "relay", fails)
    failure = await RecordsToFunction(failing, NAMES)(records)
    assert failure is not None
    assert failure.sequence == records[1].sequence
    assert failure.reason
    assert not failure.counts, "the function counts by itself"
    await failing.close()


async def test_an_exception_of_a_function_reaches_the_host() -> None:
    world = World()
    await world.submit(1)
    records = await world.engine.streams.read(RELAY, 100, 0.0)

    def down(_: Mapping[str, Any], __: lambdas.Context) -> Any:
        raise Retryable("it does not answer: try again")

    failing = function(world, "relay", down)
    with pytest.raises(Retryable):
        await RecordsToFunction(failing, NAMES)(records)
    await failing.close()
