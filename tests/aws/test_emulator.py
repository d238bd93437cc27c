"""Over the real wire protocol: transactions, streams, and the way from the bus through a rule to a queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from penstock_backbone.aws.engine import AwsEngine, AwsSettings, assemble, connect
from penstock_backbone.aws.provision import provision
from penstock_backbone.errors import Invalid
from penstock_backbone.inventory import DISPATCHER, INVENTORY
from penstock_backbone.system import SystemChance, SystemClock, SystemIds
from penstock_backbone.vocabulary import (
    BusEntry,
    Cancelled,
    Committed,
    Equals,
    Key,
    Less,
    Missing,
    Outgoing,
    Put,
    Refused,
    Update,
    Written,
)

pytestmark = pytest.mark.anyio

SOON_SECONDS = 3.0


@asynccontextmanager
async def losing_proxy(endpoint: str, lost: int) -> AsyncIterator[str]:
    """Passes every request on, and cuts the connection instead of bringing back the first `lost` answers to a transaction."""
    target = urlsplit(endpoint)
    left = [lost]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(target.hostname, target.port)
        loses = False
        try:
            while request := await read_message(reader):
                inner_writer.write(request)
                answer = await read_message(inner_reader)
                loses = b"TransactWriteItems" in request and left[0] > 0
                if loses:
                    left[0] -= 1
                    return
                writer.write(answer)
                await writer.drain()
        finally:
            inner_writer.close()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert left == [0], "the answers were not lost"


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message with a content length; b"" at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0])) if lengths else head


async def test_a_transaction_whose_answer_is_lost_is_applied_once_and_reported_committed(
    endpoint: str, settings: AwsSettings, engine: AwsEngine, pk: str
) -> None:
    async with losing_proxy(endpoint, lost=2) as address:
        unlucky = await connect(AwsSettings(settings.stack, settings.region, address))
        parts = [
            Put(Key("runs", pk, "RUN"), {"seq": 1}, when=Missing("pk")),
            Put(Key("tokens", pk, "t"), {"f": 0}, when=Missing("pk")),
        ]
        assert await unlucky.tables.transact(parts) == Committed()
        await unlucky.close()
    reasons = (Refused({"pk": pk, "sk": "RUN", "seq": 1}), Refused({"pk": pk, "sk": "t", "f": 0}))
    assert await engine.tables.transact(parts) == Cancelled(reasons)


async def test_updates_in_statements_mean_the_same_as_single_calls(settings: AwsSettings, pk: str) -> None:
    engine = assemble(
        settings, INVENTORY, clock=SystemClock(), ids=SystemIds(), chance=SystemChance(), in_statements=True
    )
    keys = [Key("tokens", pk, f"{n:02d}") for n in range(30)]
    await engine.tables.write([Put(key, {"st": "waiting", "f": n % 3, "x": 1}) for n, key in enumerate(keys)])
    grants = [
        Update(key, {"st": "held", "f": 2}, when=Equals("st", "waiting") & Less("f", 2), remove=("x",)) for key in keys
    ]
    outcomes = await engine.tables.write([*grants, Update(Key("tokens", pk, "none"), {"st": "held"})])
    for n, outcome in enumerate(outcomes[:-1]):
        refused = Refused({"pk": pk, "sk": f"{n:02d}", "st": "waiting", "f": 2, "x": 1})
        assert outcome == (refused if n % 3 == 2 else Written())
    assert outcomes[-1] == Refused(None)
    assert await engine.tables.get(keys[:1]) == [{"pk": pk, "sk": "00", "st": "held", "f": 2}]
    await engine.close()


async def test_a_consumer_resumes_in_a_new_process_after_what_it_settled(endpoint: str) -> None:
    own = AwsSettings("streams", "us-east-1", endpoint)
    await provision(own)
    first = await connect(own)
    key = Key("tokens", "TK#0", "a")
    for n in range(5):
        await first.tables.write([Put(key, {"n": n})])
    records = await first.streams.read(DISPATCHER, 100, SOON_SECONDS)
    assert [record.item and record.item["n"] for record in records] == [0, 1, 2, 3, 4]
    await first.streams.settle(DISPATCHER, records[2].sequence)
    await first.close()
    second = await connect(own)
    assert [record.item for record in await second.streams.read(DISPATCHER, 100, SOON_SECONDS)] == [
        record.item for record in records[3:]
    ]
    await second.close()


async def test_a_reader_is_woken_by_a_write_of_its_own_process(settings: AwsSettings, pk: str) -> None:
    engine, clock = await connect(settings), SystemClock()
    while await engine.streams.read(DISPATCHER, 1000, 0.5):
        pass
    reading = asyncio.create_task(engine.streams.read(DISPATCHER, 100, SOON_SECONDS))
    await clock.sleep(0.5)
    begun = clock.monotonic()
    await engine.tables.write([Put(Key("tokens", pk, "a"), {"n": 1})])
    (record,) = await reading
    assert record.key.pk == pk
    assert clock.monotonic() - begun < 0.15
    await engine.close()


async def test_only_events_that_match_the_rule_reach_its_queue(engine: AwsEngine) -> None:
    detail = json.dumps({"metadata": {"run_id": "run_1"}, "data": {"name": "多语言"}})
    entries = [BusEntry("penstock", kind, detail) for kind in ("StageStarted", "ProjectCreated", "RunFailed")]
    entries += [BusEntry("somebody", "ProjectCreated", detail), BusEntry("penstock", "RunFailed", "not json")]
    assert await engine.bus.publish(entries) == [None, None, None, None, "the event's detail is not JSON"]
    bodies = []
    while messages := await engine.queues.receive("admission", 100, 0.5):
        bodies += [json.loads(message.body) for message in messages]
        await engine.queues.delete("admission", [message.receipt for message in messages])
    assert sorted(body["detail-type"] for body in bodies) == ["ProjectCreated", "RunFailed"]
    assert all(body["source"] == "penstock" and body["detail"] == json.loads(detail) for body in bodies)


async def test_a_message_nobody_waits_for_any_more_is_given_back_at_once(settings: AwsSettings) -> None:
    engine = await connect(settings)
    waiting = asyncio.create_task(engine.queues.receive("relay-failures", 10, 5))
    await SystemClock().sleep(0.3)
    waiting.cancel()
    await engine.queues.send("relay-failures", [Outgoing("x")])
    await engine.calls.close()
    after = await connect(settings)
    (message,) = await after.queues.receive("relay-failures", 10, 2)
    assert message.body == "x"
    await after.queues.delete("relay-failures", [message.receipt])
    await after.close()


async def test_many_messages_come_in_one_call_each_with_its_group(engine: AwsEngine) -> None:
    sent = [Outgoing(f"{n}", f"tenant-{n % 3}") for n in range(45)] + [Outgoing("odd", "a tenant with spaces")]
    assert await engine.queues.send("dispatch", sent) == [None] * 46
    found = []
    while messages := await engine.queues.receive("dispatch", 100, 0.3):
        found += messages
        await engine.queues.delete("dispatch", [message.receipt for message in messages] * 2)
    groups = {message.body: message.group for message in found}
    assert len(found) == 46
    assert groups["4"] == "tenant-1"
    assert groups["odd"] != ""


async def test_a_file_is_never_replaced_by_another(engine: AwsEngine, pk: str) -> None:
    ref = await engine.blobs.put(f"{pk}/package.zip", b"first")
    with pytest.raises(Invalid, match="written once"):
        await engine.blobs.put(f"{pk}/package.zip", b"second")
    assert await engine.blobs.get(ref) == b"first"


async def test_a_follower_hears_of_a_change_by_another_process(
    engine: AwsEngine, settings: AwsSettings, pk: str
) -> None:
    other = await connect(settings)
    key = Key("runs", pk, "RUN")
    await engine.tables.write([Put(key, {"seq": 1})])
    assert await engine.watch.changed(key, 0)
    assert not await engine.watch.changed(key, 0.4)
    following = asyncio.create_task(engine.watch.changed(key, SOON_SECONDS))
    await other.tables.write([Update(key, {"seq": 2})])
    assert await following
    await engine.watch.forget(key)
    assert await engine.watch.changed(key, 0), "a first call again"
    await other.close()
