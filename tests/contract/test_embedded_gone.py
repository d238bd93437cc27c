"""What becomes of the messages that a client of the embedded engine's store had received when it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.contract_inventory import CONTRACT, VISIBILITY_SECONDS
from tests.contract.store_client import Client
from tests.orchestrator.world import ManualClock

from penstock_backbone.embedded import wire
from penstock_backbone.embedded.database import Database
from penstock_backbone.embedded.store import Store
from penstock_backbone.vocabulary import Message, Outgoing

QUEUE = "plain"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    store = Store(Database(tmp_path / "data.db", CONTRACT), CONTRACT, clock)
    Client(store).ask(wire.Send(QUEUE, [Outgoing("one"), Outgoing("two")], None))
    yield store
    store.close()


def received(client: Client, limit: int = 10) -> list[Message]:
    messages: list[Message] = client.ask(wire.Receive(QUEUE, limit, 0.0))
    return messages


def test_others_get_at_once_what_a_client_had_received(store: Store) -> None:
    gone, other = Client(store), Client(store)
    assert [message.body for message in received(gone, 1)] == ["one"]
    store.drop(gone)
    assert sorted((message.body, message.receives) for message in received(other)) == [("one", 2), ("two", 1)]


def test_who_waits_gets_it_at_the_next_tick(store: Store) -> None:
    gone, waiting = Client(store), Client(store)
    assert len(received(gone)) == 2
    assert waiting.ask(wire.Receive(QUEUE, 10, 20.0)) is None
    store.drop(gone)
    store.tick()
    assert [message.body for message in waiting.last] == ["one", "two"]


def test_what_was_settled_or_belongs_to_others_does_not_come_back(store: Store) -> None:
    gone, other, third = Client(store), Client(store), Client(store)
    [settled] = received(gone, 1)
    gone.ask(wire.DeleteMessages(QUEUE, [settled.receipt]))
    assert len(received(other)) == 1
    store.drop(gone)
    assert received(third) == []


def test_what_it_has_hidden_for_a_time_of_its_own_choice_stays_so(store: Store, clock: ManualClock) -> None:
    """A runner hands a grant that it cannot take back for a while, so that others are not asked in a hot loop."""
    gone, other = Client(store), Client(store)
    [handed_back, kept] = received(gone)
    gone.ask(wire.ExtendMessages(QUEUE, [handed_back.receipt], 5.0))
    store.drop(gone)
    assert [message.body for message in received(other)] == [kept.body]
    clock.elapsed += 5.1
    assert [message.body for message in received(other)] == [handed_back.body]
    assert VISIBILITY_SECONDS > 5.1
