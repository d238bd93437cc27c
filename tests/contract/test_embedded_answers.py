"""What the embedded engine's store answers before it waits for the disk, and what it holds back until then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.contract_inventory import CONTRACT, THINGS, WANTED
from tests.orchestrator.world import ManualClock

from penstock_backbone.embedded import wire
from penstock_backbone.embedded.database import Database
from penstock_backbone.embedded.store import EARLY_REQUESTS_MAX, Store
from penstock_backbone.embedded.tail import Changes
from penstock_backbone.vocabulary import Equals, Key, Origin, Outgoing, Put, Query, Refused, Update, Written

CONSUMER = "part-reader"
QUEUE = "plain"
ONE = Key("stream-parted", WANTED, "one")
OTHER = Key("stream-parted", WANTED, "other")
THING = Key(THINGS, "thing", "1")
FAILED = "the data file could not be written"


class Disk(Database):
    """No commit succeeds while it is full."""

    is_full = False

    def commit(self, at_ms: int) -> Changes:
        if self.is_full:
            raise sqlite3.OperationalError("database or disk is full")
        return super().commit(at_ms)


class Client:
    """`early` are the answers to the last group that came before the disk was waited for, `late` the others, by the
    place of their request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.disk = Disk(path, CONTRACT)
        self.store = Store(self.disk, CONTRACT, ManualClock())
        self._answers: dict[int, Any] = {}
        self.first = 0
        self.early: dict[int, Any] = {}
        self.late: dict[int, Any] = {}

    def reply(self, request_id: int, kind: int, body: Any) -> None:
        self._answers[request_id - self.first] = body if kind == wire.ANSWER else body[1]

    def ask(self, *requests: wire.Request) -> None:
        self._answers, self.early, self.first = {}, {}, self.first + 1000
        group = [(self, self.first + place, request) for place, request in enumerate(requests)]
        changes = self.store.run_group(group, self._flush)
        self.late, self._answers = self._answers, {}
        self.store.announce(changes)

    def _flush(self) -> None:
        self.early, self._answers = self._answers, {}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path / "data.db")
    made.ask(put(ONE, 1), put(THING, 1))
    yield made
    made.disk.is_full = False
    made.store.close()


def put(key: Key, number: int) -> wire.WriteItems:
    return wire.WriteItems([Put(key, {"n": number})])


def sent(text: str, origin: Origin | None = None) -> wire.Send:
    return wire.Send(QUEUE, [Outgoing(text)], origin)


def test_a_read_of_what_is_durable_does_not_wait_for_the_write_beside_it(client: Client) -> None:
    client.ask(put(OTHER, 2), wire.GetItems([ONE]))
    assert (set(client.early), set(client.late)) == ({1}, {0})


def test_where_many_ask_together_they_are_answered_together(client: Client) -> None:
    few = [wire.GetItems([ONE])] * (EARLY_REQUESTS_MAX - 1)
    client.ask(put(OTHER, 2), *few)
    assert set(client.late) == {0}
    client.ask(put(OTHER, 3), *few, wire.GetItems([ONE]))
    assert client.early == {}
    assert set(client.late) == set(range(EARLY_REQUESTS_MAX + 1))


@pytest.mark.parametrize("key", [ONE, THING])
def test_a_read_of_what_is_not_durable_yet_waits(client: Client, key: Key) -> None:
    client.ask(put(key, 2), wire.GetItems([OTHER, key]))
    assert (client.early, set(client.late)) == ({}, {0, 1})


def test_a_read_before_the_write_of_the_same_item_does_not_wait(client: Client) -> None:
    client.ask(wire.GetItems([ONE]), put(ONE, 2))
    assert (set(client.early), set(client.late)) == ({0}, {1})


@pytest.mark.parametrize("reading", [wire.QueryItems(Query(THINGS, "thing")), wire.GetItems([THING])])
def test_what_was_read_after_an_answer_that_waited_is_durable(client: Client, reading: wire.Request) -> None:
    """The query hands its group's changes to SQLite before it reads."""
    client.ask(put(THING, 2), reading)
    assert (client.early, set(client.late)) == ({}, {0, 1})
    again = Client(client.path)
    again.ask(wire.GetItems([THING]))
    assert b"\xa1n\x02" in bytes(again.late[0][0])
    again.store.close()


def test_a_refusal_by_what_is_not_durable_yet_waits(client: Client) -> None:
    client.ask(put(ONE, 2), wire.WriteItems([Update(ONE, {"n": 3}, when=Equals("n", 1))]))
    assert client.early == {}
    assert isinstance(client.late[0][0], Written)
    assert isinstance(client.late[1][0], Refused)


def test_a_message_that_its_record_brings_again_is_handed_on_before_the_disk_is_waited_for(client: Client) -> None:
    client.ask(wire.ReadStream(CONSUMER, 10, 0.0))
    origin = Origin(CONSUMER, client.late[0][0].sequence)
    client.ask(wire.Receive(QUEUE, 10, 9.0))
    receive = client.first
    client.ask(put(OTHER, 2), sent("told", origin))
    assert set(client.late) == {0}
    assert set(client.early) == {1, receive - client.first}


def test_a_message_that_stands_for_itself_is_neither_confirmed_nor_handed_on_before_it_is_durable(
    client: Client,
) -> None:
    client.ask(sent("plain"), wire.Receive(QUEUE, 10, 0.0))
    assert client.early == {}
    assert set(client.late) == {0, 1}


def test_when_the_disk_fails_only_what_waited_for_it_is_refused(client: Client) -> None:
    client.disk.is_full = True
    client.ask(put(ONE, 2), wire.GetItems([OTHER]), wire.ReadStream(CONSUMER, 10, 0.0), wire.GetItems([ONE]))
    assert set(client.early) == {1, 2}
    assert {place: answer.startswith(FAILED) for place, answer in client.late.items()} == {0: True, 3: True}

    client.disk.is_full = False
    client.ask(wire.GetItems([ONE]))
    assert b"\xa1n\x01" in bytes(client.late[0][0]), "nothing of the refused write is seen"
