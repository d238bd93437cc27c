"""The relay: every fact reaches the bus, in order per item, and nothing is ever skipped in silence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import pytest
from tests.orchestrator.world import World, hints, run_of

from penstock_backbone.errors import Retryable
from penstock_backbone.inventory import EVENT_SOURCE, PROJECTS, RELAY, RUNS
from penstock_backbone.records.projects import as_project, claim_idempotency_key
from penstock_backbone.records.runs import enqueue_run, fact
from penstock_backbone.records.times import from_ms
from penstock_backbone.vocabulary import BusEntry, Key, Origin, StreamRecord
from penstock_events.codec import Event, UnknownEvent, decode
from penstock_events.envelope import Metadata
from penstock_events.facts import FACTS
from penstock_orchestrator.domain.envelopes import entries_of
from penstock_orchestrator.handlers.relay import Relay

pytestmark = pytest.mark.anyio

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class RecordingBus:
    """Takes what is published, and refuses the events it was told to refuse."""

    def __init__(self, refuses: Sequence[str] = ()) -> None:
        self.refuses = set(refuses)
        self.accepted: list[str] = []
        self.calls: list[tuple[list[str], Origin | None]] = []
        self.is_down = False

    async def publish(self, entries: Sequence[BusEntry], origin: Origin | None = None) -> list[str | None]:
        if self.is_down:
            raise Retryable("the bus does not answer: try again")
        ids = [msgspec.json.decode(entry.detail)["metadata"]["event_id"] for entry in entries]
        self.calls.append((ids, origin))
        self.accepted += [event for event in ids if event not in self.refuses]
        return ["no" if event in self.refuses else None for event in ids]


def run_record(sequence: int, run: str, since: int, *facts: str, **other: Any) -> StreamRecord:
    """A run whose last write added `facts`, numbered from `since`."""
    numbered = {str(since + place): fact(kind, 1_000 + place) for place, kind in enumerate(facts)}
    item = {
        "pk": run, "sk": "RUN", "tenant": "acme", "project_id": run.replace("run", "prj"), "since": since,
        "seq": since + len(facts) - 1, "facts": {"2": fact("RunQueued", 5)} | numbered, "traceparent": TRACEPARENT,
    }  # fmt: skip
    return StreamRecord(f"{sequence:020d}", Key(RUNS, run, "RUN"), item | other)


async def project_record(**fields: Any) -> StreamRecord:
    world = World()
    await world.submit(1, **fields)
    return world.engine.storage.feed[0]


# --- what an event says ----------------------------------------------------------------------------------


async def test_a_new_project_is_the_first_fact_of_its_run() -> None:
    record = await project_record(
        name="A shop", priority=2, workflow="agent_build", tags=["x", "y"], at=1_790_000_000_123
    )
    (entry,) = entries_of(record)
    assert (entry.source, entry.detail_type) == (EVENT_SOURCE, "ProjectCreated")
    assert decode(entry.detail) == Event(
        Metadata(
            event_id="run_0001:1",
            type="ProjectCreated",
            version=1,
            tenant="acme",
            project_id="prj_0001",
            run_id="run_0001",
            sequence=1,
            occurred_at=from_ms(1_790_000_000_123),
        ),
        FACTS["ProjectCreated"].model_validate(
            {"name": "A shop", "workflow": "agent_build", "priority": 2, "tags": ("x", "y")}
        ),
    )


async def test_facts_are_those_of_the_last_write_with_cause_and_trace() -> None:
    queued = as_project((await project_record()).item or {})
    put = enqueue_run(queued | {"traceparent": TRACEPARENT}, token="t", shard=0, at=77)
    (entry,) = entries_of(StreamRecord("1", put.key, {"pk": put.key.pk, **put.item}))
    event = decode(entry.detail)
    assert isinstance(event, Event)
    assert event.fact == FACTS["RunQueued"].model_validate({"workflow": "build", "priority": 3})
    assert event.metadata.sequence == 2
    assert event.metadata.cause_id == "run_0001:1"
    assert event.metadata.traceparent == TRACEPARENT
    assert event.metadata.occurred_at == from_ms(77)


@pytest.mark.parametrize("kind", sorted(FACTS))
async def test_the_envelope_is_just_the_one_of_the_contract(kind: str) -> None:
    """Byte for byte what penstock_events would write, but for the form of the time and absent fields of the fact."""
    record = run_record(1, "run_0001", 7, kind)
    (entry,) = entries_of(record)
    written = msgspec.json.decode(entry.detail)
    metadata = Metadata.model_validate(written["metadata"])
    expected = metadata.model_dump(mode="json")
    assert list(written) == ["metadata", "data"]
    assert list(written["metadata"]) == list(expected)
    assert datetime.fromisoformat(written["metadata"].pop("occurred_at")) == metadata.occurred_at
    assert written["metadata"] == {name: value for name, value in expected.items() if name != "occurred_at"}
    assert metadata.version == FACTS[kind].version


async def test_a_fact_of_a_newer_writer_is_passed_on() -> None:
    (entry,) = entries_of(run_record(1, "run_0001", 3, "RunAdmired"))
    assert isinstance(decode(entry.detail), UnknownEvent)


async def test_keys_deletions_and_other_items_tell_no_story() -> None:
    key = claim_idempotency_key("acme", "ff", project_id="prj_1", fingerprint="f", at=1)
    assert entries_of(StreamRecord("1", key.key, key.item)) == []
    assert entries_of(StreamRecord("1", Key(PROJECTS, "prj_1", "PROJECT"), None)) == []
    assert entries_of(StreamRecord("1", Key(RUNS, "run_1", "NOTE"), {"text": "hello"})) == []


# --- order and failure -------------------------------------------------------------------------------------


async def test_events_of_one_item_leave_one_after_the_other_and_items_go_together() -> None:
    bus = RecordingBus()
    records = [run_record(1, "run_a", 3, "RunAdmitted", "RunStarted"), run_record(2, "run_b", 3, "RunAdmitted")]
    assert await Relay(bus)(records) is None
    assert [ids for ids, _ in bus.calls] == [["run_a:3", "run_b:3"], ["run_a:4"]]


async def test_the_origin_is_the_oldest_record_of_the_call() -> None:
    bus = RecordingBus()
    await Relay(bus)([run_record(4, "run_a", 3, "RunAdmitted"), run_record(5, "run_b", 3, "RunAdmitted")])
    assert [origin for _, origin in bus.calls] == [Origin(RELAY, f"{4:020d}")]


async def test_a_refused_event_stops_its_item_and_no_other() -> None:
    bus = RecordingBus(refuses=["run_a:4"])
    records = [
        run_record(1, "run_b", 3, "RunAdmitted"),
        run_record(2, "run_a", 3, "RunAdmitted", "RunStarted", "StageStarted"),
        run_record(3, "run_b", 4, "RunStarted"),
        run_record(4, "run_a", 6, "StageCompleted"),
        run_record(5, "run_c", 3, "RunAdmitted"),
    ]
    failure = await Relay(bus)(records)
    assert failure is not None
    assert (failure.sequence, failure.reason) == (records[1].sequence, "no")
    assert sorted(bus.accepted) == ["run_a:3", "run_b:3", "run_b:4", "run_c:3"]


async def test_the_lowest_of_several_failures_is_reported() -> None:
    bus = RecordingBus(refuses=["run_a:3", "run_b:3"])
    records = [
        run_record(1, "run_c", 3, "RunAdmitted"),
        run_record(2, "run_b", 3, "RunAdmitted"),
        run_record(3, "run_a", 3, "RunAdmitted"),
    ]
    failure = await Relay(bus)(records)
    assert failure is not None
    assert failure.sequence == records[1].sequence


async def test_a_batch_taken_up_again_repeats_but_never_skips() -> None:
    bus = RecordingBus(refuses=["run_a:4"])
    records = [run_record(number, "run_a", number + 2, "StageStarted") for number in range(1, 6)]
    failure = await Relay(bus)(records)
    assert failure is not None
    bus.refuses.clear()
    place = [record.sequence for record in records].index(failure.sequence)
    assert await Relay(bus)(records[place:]) is None
    assert bus.accepted == [f"run_a:{number}" for number in range(3, 8)]


async def test_a_damaged_item_fails_at_its_record_and_stops_there() -> None:
    bus = RecordingBus()
    damaged = run_record(2, "run_a", 4, "RunStarted", facts={})
    records = [run_record(1, "run_a", 3, "RunAdmitted"), damaged, run_record(3, "run_a", 5, "StageStarted")]
    failure = await Relay(bus)(records)
    assert failure is not None
    assert failure.sequence == damaged.sequence
    assert "run_a cannot be read" in failure.reason
    assert bus.accepted == ["run_a:3"]


async def test_an_event_over_the_size_limit_is_not_published() -> None:
    bus = RecordingBus()
    huge = fact("RunFailed", 1, error="E", message="x" * 70_000)
    record = run_record(1, "run_a", 3, "RunFailed", facts={"3": huge})
    failure = await Relay(bus)([record])
    assert failure is not None
    assert "65536 bytes" in failure.reason
    assert bus.accepted == []


async def test_a_bus_that_does_not_answer_fails_the_whole_batch() -> None:
    bus = RecordingBus()
    bus.is_down = True
    with pytest.raises(Retryable):
        await Relay(bus)([run_record(1, "run_a", 3, "RunAdmitted")])


async def test_a_whole_story_arrives_from_the_stream_of_the_engine() -> None:
    world = World()
    project = await world.submit(1)
    run = run_of(project)
    await world.orchestrator().admission.turn(hints(projects=[project]))
    await world.finish(run)
    bus = RecordingBus()
    assert await Relay(bus)(world.engine.storage.feed) is None
    assert bus.accepted == [f"{run}:{number}" for number in range(1, 7)]
