"""The embedded store when its disk is full for a moment, and when it is killed: nothing that was promised is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.contract_inventory import CONTRACT, WANTED
from tests.contract.store_client import Client
from tests.contract.test_embedded_feed import READER
from tests.orchestrator.world import ManualClock

from penstock_backbone.embedded import wire
from penstock_backbone.embedded.blobs import FolderBlobs
from penstock_backbone.embedded.brokers import SPILL_SECONDS
from penstock_backbone.embedded.database import Database
from penstock_backbone.embedded.store import FLUSH_TICKS, Store
from penstock_backbone.errors import Fatal
from penstock_backbone.vocabulary import Key, Message, Origin, Outgoing, Put

QUEUE = CONTRACT.queues[0].name


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow or be written beyond its first bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def opened(path: Path, clock: ManualClock) -> tuple[Store, Client]:
    store = Store(Database(path, CONTRACT), CONTRACT, clock)
    return store, Client(store)


def test_a_file_that_a_full_disk_cut_off_takes_none_of_the_room_that_is_freed(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    with full_disk(), pytest.raises(Fatal, match="free some space"):
        asyncio.run(blobs.put("run_1/files/big.bin", b"x" * 1000))
    assert list((tmp_path / "run_1" / "files").iterdir()) == []
    asyncio.run(blobs.put("run_1/files/big.bin", b"x" * 1000))
    assert (tmp_path / "run_1" / "files" / "big.bin").read_bytes() == b"x" * 1000


def hint(client: Client, text: str) -> None:
    """A message that a consumer sends because of a record, which it settles."""
    (record,) = client.ask(wire.ReadStream(READER, 10, 0.0))
    assert client.ask(wire.Send(QUEUE, [Outgoing(text)], Origin(READER, record.sequence))) == [None]
    client.ask(wire.SettleStream(READER, record.sequence))


def received(client: Client) -> list[Message]:
    found: Any = client.ask(wire.Receive(QUEUE, 10, 0.0))
    return list(found)


def test_a_message_that_could_not_be_written_while_the_disk_was_full_is_written_later(tmp_path: Path) -> None:
    """Otherwise its record would be settled, and after a crash nobody would send it again."""
    clock = ManualClock()
    store, client = opened(tmp_path / "data.db", clock)
    client.write(WANTED, "1")
    hint(client, "look at project 1")
    clock.elapsed += SPILL_SECONDS + 0.1
    with full_disk():
        store.tick()
    client.write(WANTED, "2")
    (record,) = client.ask(wire.ReadStream(READER, 10, 0.0))
    client.ask(wire.SettleStream(READER, record.sequence))
    store.tick()

    store, client = opened(tmp_path / "data.db", clock)
    again = client.ask(wire.ReadStream(READER, 10, 0.0))
    assert again or [message.body for message in received(client)] == ["look at project 1"]
    store.close()


def test_the_store_ticks_on_when_items_cannot_be_written(tmp_path: Path) -> None:
    """A store that ticks no more answers no idle reader, and nothing that is hidden comes back."""
    clock = ManualClock()
    database = Database(tmp_path / "data.db", CONTRACT)
    store = Store(database, CONTRACT, clock)
    client = Client(store)
    for number in range(20):
        client.ask(wire.WriteItems([Put(Key("stream-parted", WANTED, str(number)), {"text": "x" * 3_000})]))
    database._connection.execute("pragma max_page_count = 1")  # as on a full disk
    for _ in range(FLUSH_TICKS):
        store.tick()
    store.close()


def test_a_receipt_of_an_earlier_life_of_the_store_settles_no_message_of_this_one(tmp_path: Path) -> None:
    clock = ManualClock()
    _, client = opened(tmp_path / "data.db", clock)
    client.write(WANTED, "1")
    hint(client, "one")
    (old,) = received(client)

    store, client = opened(tmp_path / "data.db", clock)
    client.ask(wire.Send(QUEUE, [Outgoing("two")], None))
    (new,) = received(client)
    client.ask(wire.DeleteMessages(QUEUE, [old.receipt]))
    clock.elapsed += CONTRACT.queues[0].visibility_seconds + 1
    store.tick()
    assert [message.body for message in received(client)] == [new.body]
    store.close()
