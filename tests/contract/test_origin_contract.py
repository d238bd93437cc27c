"""What was sent because of a stream record is never lost with it: the message is there, or the record comes again."""

from __future__ import annotations

import json

import pytest
from tests.contract.contract_inventory import SOURCE
from tests.contract.rigs import Rig
from tests.contract.writing import key

from penstock_backbone.engines import Engine
from penstock_backbone.vocabulary import BusEntry, Origin, Outgoing, Put, StreamRecord

pytestmark = pytest.mark.anyio

SOON_SECONDS = 2.0
TRIES_MAX = 5

TARGETS = {"relayed": "bus-relayed", "dispatched": "dispatched"}
"""By the name of the stream: the queue in which its messages arrive."""


async def next_record(engine: Engine, name: str, wait_seconds: float = SOON_SECONDS) -> StreamRecord | None:
    records = await engine.streams.read(f"{name}-reader", 1, wait_seconds)
    return records[0] if records else None


async def pass_on(engine: Engine, name: str, record: StreamRecord) -> None:
    origin = Origin(f"{name}-reader", record.sequence)
    if name == "relayed":
        detail = json.dumps({"pk": record.key.pk})
        assert await engine.bus.publish([BusEntry(SOURCE, "Relayed", detail)], origin) == [None]
    else:
        assert await engine.queues.send(TARGETS[name], [Outgoing(record.key.pk)], origin) == [None]


async def arrived(engine: Engine, name: str) -> set[str]:
    """The partitions that the messages speak of; they are settled."""
    messages = await engine.queues.receive(TARGETS[name], 10, 0.1)
    await engine.queues.delete(TARGETS[name], [message.receipt for message in messages])
    bodies = [message.body for message in messages]
    return {json.loads(body)["detail"]["pk"] if name == "relayed" else body for body in bodies}


@pytest.mark.parametrize("settles", [True, False], ids=["settled", "unsettled"])
@pytest.mark.parametrize("name", TARGETS)
async def test_a_crash_loses_neither_the_record_nor_its_message(rig: Rig, pk: str, name: str, *, settles: bool) -> None:
    await rig.engine.tables.write([Put(key(pk, "a", f"stream-{name}"), {})])
    record = await next_record(rig.engine, name)
    assert record is not None
    await pass_on(rig.engine, name, record)
    if settles:
        await rig.engine.streams.settle(f"{name}-reader", record.sequence)
    await rig.crash()
    found: set[str] = set()
    for _ in range(TRIES_MAX):
        if pk in found:
            break
        if again := await next_record(rig.engine, name, 0.1):
            await pass_on(rig.engine, name, again)
            await rig.engine.streams.settle(f"{name}-reader", again.sequence)
        found |= await arrived(rig.engine, name)
    assert pk in found


@pytest.mark.parametrize("name", TARGETS)
async def test_a_message_with_an_origin_is_like_any_other(engine: Engine, pk: str, name: str) -> None:
    await engine.tables.write([Put(key(pk, "a", f"stream-{name}"), {})])
    record = await next_record(engine, name)
    assert record is not None
    await pass_on(engine, name, record)
    await engine.streams.settle(f"{name}-reader", record.sequence)
    found: set[str] = set()
    for _ in range(TRIES_MAX):
        if pk in found:
            break
        found |= await arrived(engine, name)
    assert found == {pk}
    assert await next_record(engine, name, 0.05) is None
