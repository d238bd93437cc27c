"""The embedded engine's feed: nobody who has nothing to do keeps it from being trimmed, and it counts on after that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.contract.contract_inventory import CONTRACT, WANTED
from tests.contract.store_client import Client
from tests.orchestrator.world import ManualClock

from penstock_backbone.embedded import wire
from penstock_backbone.embedded.database import FEED_KEPT_SECONDS, Database
from penstock_backbone.embedded.store import TRIM_TICKS, Store

READER = "part-reader"


def kept(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [seq for (seq,) in connection.execute("select seq from feed order by seq")]


def test_a_consumer_that_wants_none_of_the_records_does_not_keep_them(tmp_path: Path) -> None:
    clock = ManualClock()
    path = tmp_path / "data.db"
    store = Store(Database(path, CONTRACT), CONTRACT, clock)
    client = Client(store)
    everybody = [consumer.name for consumer in CONTRACT.consumers]
    client.write(WANTED, "1")
    for number in range(5):
        client.write("unwanted", str(number))
    (record,) = client.ask(wire.ReadStream(READER, 10, 0.0))
    for name in everybody:
        if name != READER:
            for other in client.ask(wire.ReadStream(name, 10, 0.0)):
                client.ask(wire.SettleStream(name, other.sequence))
    clock.elapsed += FEED_KEPT_SECONDS + 1
    for _ in range(3 * TRIM_TICKS):
        store.tick()
    assert kept(path) == [1, 2, 3, 4, 5, 6], "its own record is not settled yet"

    client.ask(wire.SettleStream(READER, record.sequence))
    for _ in range(3 * TRIM_TICKS):
        store.tick()
    assert kept(path) == [6], "all but the last of the five that it does not want are over with it"
    store.close()


def test_what_changes_after_a_long_idle_time_and_a_restart_is_read(tmp_path: Path) -> None:
    """A feed that began to count from 1 again would hide everything below the positions that its consumers keep."""
    clock = ManualClock()
    path = tmp_path / "data.db"
    store = Store(Database(path, CONTRACT), CONTRACT, clock)
    client = Client(store)
    for number in range(5):
        client.write(WANTED, str(number))
    for consumer in CONTRACT.consumers:
        for record in client.ask(wire.ReadStream(consumer.name, 10, 0.0)):
            client.ask(wire.SettleStream(consumer.name, record.sequence))
    clock.elapsed += FEED_KEPT_SECONDS + 1
    for _ in range(3 * TRIM_TICKS):
        store.tick()
    store.close()

    store = Store(Database(path, CONTRACT), CONTRACT, clock)
    client = Client(store)
    client.write(WANTED, "new")
    (record,) = client.ask(wire.ReadStream(READER, 10, 0.0))
    assert record.key.sk == "new"
    store.close()
