"""A client of the embedded engine's store in the same process, one request at a time."""

from __future__ import annotations

from typing import Any

from penstock_backbone.embedded import wire
from penstock_backbone.embedded.store import Store
from penstock_backbone.vocabulary import Key, Put


class Client:
    """Remembers what it was answered last; None before that."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.last: Any = None

    def reply(self, request_id: int, kind: int, body: Any) -> None:
        del request_id
        assert kind == wire.ANSWER, body
        self.last = body

    def ask(self, request: wire.Request) -> Any:
        self._store.announce(self._store.run_group([(self, 1, request)], lambda: None))
        return self.last

    def write(self, pk: str, sk: str) -> None:
        self.ask(wire.WriteItems([Put(Key("stream-parted", pk, sk), {"n": 1})]))
