"""The Lambda functions answer AWS's events with AWS's answers, around the same handlers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any

import pytest
from tests.orchestrator.faults import FaultyEngine
from tests.orchestrator.world import World, event_body, hints, run_of

from penstock_backbone.aws.lambda_events import queue_event, queue_messages, stream_event, stream_records
from penstock_backbone.aws.settings import Names
from penstock_backbone.errors import Retryable
from penstock_backbone.inventory import (
    ADMISSION_QUEUE,
    DISPATCH_QUEUE,
    INVENTORY,
    PROJECTS,
    RELAY,
    RELAY_FAILURES_QUEUE,
    TOKENS,
)
from penstock_backbone.records.projects import project_key
from penstock_backbone.records.sessions import bury_session
from penstock_backbone.vocabulary import BusEntry, Message, NotNow, Origin, Page, Query, StreamRecord, Update
from penstock_orchestrator import lambdas
from penstock_orchestrator.adapters.lambda_host import LocalContext

NAMES = Names("test", INVENTORY)
CONTEXT = LocalContext("function", "req_1")


class MemoryContainer:
    """What a container keeps, over the in-memory engine."""

    def __init__(self, world: World, engine: Any = None) -> None:
        self.clock = world.clock
        self.parts = world.orchestrator(engine)
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def records(self, event: Mapping[str, Any]) -> list[StreamRecord]:
        return stream_records(event, NAMES)

    def messages(self, event: Mapping[str, Any]) -> list[Message]:
        return queue_messages(event)

    def close(self) -> None:
        self._runner.close()


class Cloud:
    """A world with a container that opens at the first invocation."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.world = World()
        self.engine: FaultyEngine | None = None
        self.opened = 0
        patch.setattr(lambdas, "open_container", self._open)

    def _open(self, environment: Mapping[str, str]) -> MemoryContainer:
        self.opened += 1
        return MemoryContainer(self.world, self.engine)

    def feed(self, *tables: str) -> dict[str, Any]:
        records = [record for record in self.world.engine.storage.feed if record.key.table in tables]
        return json.loads(json.dumps(stream_event(records, NAMES)))  # type: ignore[no-any-return]  # JSON, as Lambda brings it

    def messages(self, *bodies: Any) -> dict[str, Any]:
        messages = [Message(f"m{place}", f"r{place}", json.dumps(body), 1, "") for place, body in enumerate(bodies)]
        return queue_event(messages, ADMISSION_QUEUE, NAMES)

    def receive(self, queue: str) -> list[Any]:
        found = asyncio.run(self.world.engine.queues.receive(queue, 100, 0.0))
        return [json.loads(message.body) for message in found]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    cloud = Cloud(monkeypatch)
    yield cloud
    lambdas.close()


def test_nothing_is_connected_before_the_first_invocation(cloud: Cloud) -> None:
    assert cloud.opened == 0
    lambdas.relay_handler({"Records": []}, CONTEXT)
    lambdas.dispatch_handler({"Records": []}, CONTEXT)
    assert cloud.opened == 1, "and once a container"


def test_from_a_stream_event_to_a_dispatched_run(cloud: Cloud) -> None:
    project = asyncio.run(cloud.world.submit(1))
    assert lambdas.relay_handler(cloud.feed(PROJECTS), CONTEXT) == {"batchItemFailures": []}
    bodies = cloud.receive(ADMISSION_QUEUE)
    assert lambdas.admission_handler(cloud.messages(*bodies), CONTEXT) == {"batchItemFailures": []}
    assert lambdas.dispatch_handler(cloud.feed(TOKENS), CONTEXT) == {"batchItemFailures": []}
    (message,) = cloud.receive(DISPATCH_QUEUE)
    assert (message["run"], message["fence"]) == (run_of(project), 1)


def test_the_lowest_failed_record_is_named_as_aws_wants_it(cloud: Cloud) -> None:
    asyncio.run(cloud.world.submit(1))
    asyncio.run(cloud.world.submit(2))
    event = cloud.feed(PROJECTS)
    del event["Records"][1]["dynamodb"]["NewImage"]["workflow"]
    sequence = event["Records"][1]["dynamodb"]["SequenceNumber"]
    assert lambdas.relay_handler(event, CONTEXT) == {"batchItemFailures": [{"itemIdentifier": sequence}]}


def test_an_outage_of_the_bus_puts_no_record_aside_however_long_it_takes(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = asyncio.run(cloud.world.submit(1)), asyncio.run(cloud.world.submit(2))
    event = cloud.feed(PROJECTS)
    (*_, last) = (record["dynamodb"]["SequenceNumber"] for record in event["Records"])
    bus, publish = cloud.world.engine.bus, cloud.world.engine.bus.publish

    async def is_down(entries: Sequence[BusEntry], origin: Origin | None = None) -> list[str | None]:
        raise Retryable("the bus does not answer: try again")

    async def throttles(entries: Sequence[BusEntry], origin: Origin | None = None) -> list[str | None]:
        return [*await publish(entries[:-1], origin), NotNow("ThrottlingException: slow down")]

    monkeypatch.setattr(bus, "publish", is_down)
    for _ in range(20):
        with pytest.raises(Retryable):
            lambdas.relay_handler(event, CONTEXT)
    monkeypatch.setattr(bus, "publish", throttles)
    for _ in range(20):
        assert lambdas.relay_handler(event, CONTEXT) == {"batchItemFailures": [{"itemIdentifier": last}]}
    assert cloud.receive(RELAY_FAILURES_QUEUE) == []
    monkeypatch.setattr(bus, "publish", publish)
    assert lambdas.relay_handler(event, CONTEXT) == {"batchItemFailures": []}
    told = {body["detail"]["metadata"]["project_id"] for body in cloud.receive(ADMISSION_QUEUE)}
    assert told == {first, second}


def test_a_damaged_record_is_put_aside_by_the_function_and_the_ones_after_it_get_their_turn(cloud: Cloud) -> None:
    for number in (1, 2, 3):
        asyncio.run(cloud.world.submit(number))
    event = cloud.feed(PROJECTS)
    del event["Records"][1]["dynamodb"]["NewImage"]["workflow"]
    sequence = event["Records"][1]["dynamodb"]["SequenceNumber"]
    event["Records"] = event["Records"][1:]
    for _ in range(INVENTORY.consumer(RELAY).attempts_max - 1):
        assert lambdas.relay_handler(event, CONTEXT) == {"batchItemFailures": [{"itemIdentifier": sequence}]}
    assert lambdas.relay_handler(event, CONTEXT) == {"batchItemFailures": []}
    (pointer,) = cloud.receive(RELAY_FAILURES_QUEUE)
    assert (pointer["consumer"], pointer["key"]["pk"], pointer["sequence"]) == ("relay", "prj_0002", sequence)


def test_a_record_that_breaks_its_handler_is_counted_once_it_is_alone(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(cloud.world.submit(1))
    asyncio.run(cloud.world.submit(2))
    event = cloud.feed(PROJECTS)

    async def breaks(entries: Sequence[BusEntry], origin: Origin | None = None) -> list[str | None]:
        raise IndexError("a defect of ours")

    monkeypatch.setattr(cloud.world.engine.bus, "publish", breaks)
    for _ in range(20):
        with pytest.raises(IndexError):
            lambdas.relay_handler(event, CONTEXT)
    event["Records"] = event["Records"][:1]
    for _ in range(INVENTORY.consumer(RELAY).attempts_max):
        answer = lambdas.relay_handler(event, CONTEXT)
    assert answer == {"batchItemFailures": []}
    (pointer,) = cloud.receive(RELAY_FAILURES_QUEUE)
    assert pointer["reason"] == "IndexError: a defect of ours"


def test_messages_that_nobody_can_act_on_stay_in_the_queue_and_the_others_are_done(cloud: Cloud) -> None:
    good, bad = asyncio.run(cloud.world.submit(1)), asyncio.run(cloud.world.submit(2))
    asyncio.run(cloud.world.write(Update(project_key(bad), {"at": 1}, remove=("workflow",))))
    event = cloud.messages(event_body("ProjectCreated", bad), "nonsense", event_body("ProjectCreated", good))
    answer = lambdas.admission_handler(event, CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}, {"itemIdentifier": "m1"}]}
    assert cloud.world.held() == {run_of(good)}


def test_a_table_that_does_not_answer_fails_the_invocation(cloud: Cloud) -> None:
    cloud.engine = FaultyEngine(cloud.world.engine)
    cloud.engine.tables.lose_request.append("get")
    with pytest.raises(Retryable):
        lambdas.admission_handler(cloud.messages(event_body("ProjectCreated", "prj_1")), CONTEXT)


def test_a_container_sees_what_another_one_decided(cloud: Cloud) -> None:
    world = cloud.world
    asyncio.run(world.limit(fleet=1))
    one, two = asyncio.run(world.submit(1)), asyncio.run(world.submit(2))
    lambdas.admission_handler(cloud.messages(event_body("ProjectCreated", one)), CONTEXT)
    other = MemoryContainer(world)
    other.run(lambdas._admit(other, hints(projects=[two]), CONTEXT))  # type: ignore[arg-type]  # what is read of a container
    other.close()
    asyncio.run(world.finish(run_of(one)))
    lambdas.admission_handler(cloud.messages(event_body("RunSucceeded", one)), CONTEXT)
    assert world.held() == {run_of(two)}


def test_a_changed_limit_reaches_the_admission_through_the_queue(cloud: Cloud) -> None:
    asyncio.run(cloud.world.limit(fleet=7))
    assert lambdas.limits_handler(cloud.feed("limits"), CONTEXT) == {"batchItemFailures": []}
    (body,) = cloud.receive(ADMISSION_QUEUE)
    assert lambdas.admission_handler(cloud.messages(body), CONTEXT) == {"batchItemFailures": []}


def test_one_sweep_invocation_finds_a_dead_runner_and_lets_its_run_in_again(cloud: Cloud) -> None:
    world = cloud.world
    project = asyncio.run(world.submit(1))
    lambdas.admission_handler(cloud.messages(event_body("ProjectCreated", project)), CONTEXT)
    asyncio.run(world.open_session("ses_1"))
    asyncio.run(world.claim(run_of(project)))
    asyncio.run(world.write(bury_session("ses_1")))
    lambdas.sweep_handler({}, CONTEXT)
    assert world.tokens()[run_of(project)]["f"] == 2


def a_minute(world: World) -> LocalContext:
    """An invocation that has 58 seconds of the world's clock from its beginning."""

    class Minute(LocalContext):
        def get_remaining_time_in_millis(self) -> int:
            return round(58_000 - world.clock.elapsed * 1000)

    return Minute("sweep", "req_1")


def test_an_invocation_with_time_sweeps_until_little_is_left(cloud: Cloud) -> None:
    lambdas.sweep_handler({}, a_minute(cloud.world))
    assert 48.0 < cloud.world.clock.elapsed < 54.0


def test_a_sweep_reads_all_tokens_after_somebody_decided_and_otherwise_seldom(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = cloud.world
    cloud.engine = FaultyEngine(world.engine)
    read_at: list[float] = []
    query = cloud.engine.tables.query

    async def counted(asking: Query) -> Page:
        if asking.pk.startswith("TK#"):
            read_at.append(world.clock.elapsed)
        return await query(asking)

    monkeypatch.setattr(cloud.engine.tables, "query", counted)
    asyncio.run(world.limit(fleet=1))
    other = world.orchestrator()
    asyncio.run(other.admission.turn(hints(everything=True)))
    sleep, decided_at = world.clock.sleep, 11.0

    async def somebody_decides(seconds: float) -> None:
        await sleep(seconds)
        if world.held() or world.clock.elapsed < decided_at:
            return
        await other.admission.turn(hints(projects=[await world.submit(1)]))

    monkeypatch.setattr(world.clock, "sleep", somebody_decides)
    lambdas.sweep_handler({}, a_minute(world))
    assert read_at == pytest.approx([0.0, 12.0, 30.0])


def test_what_a_sweep_decides_obeys_the_limits_of_now(cloud: Cloud) -> None:
    world = cloud.world
    asyncio.run(world.limit(fleet=2))
    projects = [asyncio.run(world.submit(number)) for number in (1, 2, 3)]
    lambdas.sweep_handler({}, CONTEXT)
    lambdas.admission_handler(cloud.messages(*(event_body("ProjectCreated", each) for each in projects)), CONTEXT)
    asyncio.run(world.open_session("ses_1"))
    for run in sorted(world.held()):
        asyncio.run(world.claim(run))
    lambdas.sweep_handler({}, CONTEXT)
    asyncio.run(world.limit(fleet=1))
    asyncio.run(world.write(bury_session("ses_1")))
    lambdas.sweep_handler({}, CONTEXT)
    assert len(world.held()) == 1
