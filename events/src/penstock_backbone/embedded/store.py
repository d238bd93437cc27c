"""Executes requests in their order of arrival, and commits them as one group.

Nobody ever sees what could be lost: an answer that tells of what the group has changed, a read's included, waits until
that is durable. Every other answer is sent before the disk is waited for.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from penstock_backbone.embedded import wire
from penstock_backbone.embedded.brokers import Messages, Streams
from penstock_backbone.embedded.database import FEED_KEPT_SECONDS, Database
from penstock_backbone.embedded.tail import Changes, Record
from penstock_backbone.errors import BackboneError, Fatal
from penstock_backbone.inventory import Inventory
from penstock_backbone.local.feed import SEQUENCE_DIGITS, feed_number
from penstock_backbone.local.transactor import Transactor
from penstock_backbone.ports import Clock
from penstock_backbone.vocabulary import Key, Page, StreamRecord

WAITERS_MAX = 10_000
WATCHED_KEYS_MAX = 100_000
EARLY_REQUESTS_MAX = 6
"""Of one group: where more come together nobody is answered before its commit. There who waits together comes back
together, in fewer groups with fewer syncs, and that is worth more than who is first."""
TRIM_TICKS = 10
FLUSH_TICKS = 5


class Peer(Protocol):
    """A connected client."""

    def reply(self, request_id: int, kind: int, body: Any) -> None: ...


class Waiter(NamedTuple):
    """A read that found nothing yet."""

    peer: Peer
    request_id: int
    name: str
    limit: int
    until: float


Asked: TypeAlias = tuple[Peer, int, wire.Request]

_log = logging.getLogger(__name__)

_LATER = object()
"""Stands for an answer that comes when there is something to read."""


class Store:
    def __init__(self, database: Database, inventory: Inventory, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._transactor = Transactor(database)
        self._streams = Streams(database, inventory)
        self._messages = Messages(database, inventory)
        self._readers: deque[Waiter] = deque()
        self._receivers: deque[Waiter] = deque()
        self._watchers: dict[Key, set[Peer]] = {}
        self._ticks = 0
        self._requests = 0
        self._handlers: dict[type, Callable[[Peer, int, Any], Any]] = {
            wire.GetItems: self._get, wire.QueryItems: self._query, wire.WriteItems: self._write,
            wire.WriteAfter: self._write_after, wire.Transact: self._transact,
            wire.ReadStream: self._read_stream, wire.SettleStream: self._settle, wire.RewindStream: self._rewind,
            wire.Publish: self._publish, wire.Send: self._send, wire.Receive: self._receive,
            wire.DeleteMessages: self._delete, wire.ExtendMessages: self._extend,
            wire.WatchKey: self._watch, wire.ForgetKey: self._forget,
            wire.CountRequests: self._count,
        }  # fmt: skip

    def run_group(self, requests: Sequence[Asked], flush: Callable[[], None]) -> Changes:
        """What it has changed: to be announced once the answers are on their way, for which somebody waits. `flush` is
        called for the answers that need not wait for the disk, if there are others that do."""
        self._requests += len(requests)
        waiting = dict(enumerate(requests))
        changes = Changes([], frozenset())
        try:
            answers = self._execute(waiting)
            if self._database.has_changes:
                if len(requests) <= EARLY_REQUESTS_MAX:
                    self._answer_early(flush)
                changes = self._commit()
        except sqlite3.Error as error:
            self._fail(waiting.values(), f"the data file could not be written ({error}): free some space and try again")
        except Exception as error:  # noqa: BLE001  # a group is applied as a whole or not at all, whatever went wrong in it
            _log.exception("a group of %d requests failed", len(requests))
            self._fail(waiting.values(), f"the store failed ({type(error).__name__}): see its log")
        else:
            for peer, request_id, kind, body in answers:
                peer.reply(request_id, kind, body)
        return changes

    def _answer_early(self, flush: Callable[[], None]) -> None:
        if self._receivers and not self._database.has_messages:
            self._serve_receivers()
        flush()

    def _execute(self, waiting: dict[int, Asked]) -> list[tuple[Peer, int, int, Any]]:
        """The answers that must wait for the commit. What is answered at once is taken out of `waiting`."""
        answers: list[tuple[Peer, int, int, Any]] = []
        for place, (peer, request_id, request) in list(waiting.items()):
            kind = wire.ANSWER
            try:
                answer = self._handlers[type(request)](peer, request_id, request)
            except BackboneError as error:
                kind, answer = wire.FAILURE, [type(error).__name__, str(error)]
            if answer is _LATER:
                continue
            if self._must_wait(request):
                answers.append((peer, request_id, kind, answer))
            else:
                del waiting[place]
                peer.reply(request_id, kind, answer)
        return answers

    def _must_wait(self, request: wire.Request) -> bool:
        """Whether the answer may tell of something that is not durable yet. What a stream gives is, and a settled position
        or message is only repeated when it is lost."""
        match request:
            case wire.GetItems(keys=keys):
                return not self._database.are_durable(keys)
            case wire.Send() | wire.Publish() | wire.Receive():
                return self._database.has_messages
            case wire.WriteItems() | wire.WriteAfter() | wire.Transact() | wire.QueryItems():
                return self._database.has_changes
            case _:
                return False

    def _fail(self, requests: Collection[Asked], sentence: str) -> None:
        """Nothing of the group has happened; its readers need not wait either."""
        self._database.start_again()
        group = {(id(peer), request_id) for peer, request_id, _ in requests}
        self._readers = deque(w for w in self._readers if (id(w.peer), w.request_id) not in group)
        self._receivers = deque(w for w in self._receivers if (id(w.peer), w.request_id) not in group)
        for peer, request_id, _ in requests:
            peer.reply(request_id, wire.FAILURE, [Fatal.__name__, sentence])

    def tick(self) -> None:
        """A few times a second: late answers, messages that come back, what may be written or dropped now."""
        now = self._clock.monotonic()
        self._serve_readers(expired_at=now)
        self._serve_receivers(expired_at=now)
        self._messages.spill(now)
        self._streams.make_durable(self._messages.durable_positions())
        self._ticks += 1
        try:
            self._keep_house(self._now_ms())
        except sqlite3.Error:
            # Nobody waits for this: the next tick tries again, and writers are told by their own group.
            self._database.start_again()

    def _keep_house(self, at_ms: int) -> None:
        if self._ticks % FLUSH_TICKS == 0:
            self._database.flush_items()
        if self._ticks % TRIM_TICKS == 0:
            # Whoever wants none of the latest records settles nothing, and holds nothing up all the same.
            self._messages.note_positions(self._streams.settled_positions())
            self._database.trim(self._streams.durable_floor, at_ms - FEED_KEPT_SECONDS * 1000)
        self._database.commit(at_ms)

    def drop(self, peer: Peer) -> None:
        """The client is gone: others get its turn and its messages, and its streams begin again after what was settled."""
        gone = [waiter.name for waiter in self._readers if waiter.peer is peer]
        for name in gone:
            self._streams.rewind(name)
        self._readers = deque(waiter for waiter in self._readers if waiter.peer is not peer)
        self._receivers = deque(waiter for waiter in self._receivers if waiter.peer is not peer)
        self._messages.release(peer)
        for key in [key for key, peers in self._watchers.items() if peer in peers]:
            self._unwatch(peer, key)

    def close(self) -> None:
        """Writes what was only held in memory."""
        self._messages.spill(float("inf"))
        self._streams.make_durable(self._streams.settled_positions())
        self._database.commit(self._now_ms())
        self._database.close()

    # --- requests -----------------------------------------------------------------------------

    def _get(self, _peer: Peer, _id: int, request: wire.GetItems) -> list[msgspec.Raw | None]:
        bodies = [self._database.body(key) for key in request.keys]
        return [None if body is None else msgspec.Raw(body) for body in bodies]

    def _query(self, _peer: Peer, _id: int, request: wire.QueryItems) -> Page:
        bodies, cursor = self._database.page(request.query)
        return Page([msgspec.Raw(body) for body in bodies], cursor)  # type: ignore[misc]  # goes on the wire as it is

    def _write(self, _peer: Peer, _id: int, request: wire.WriteItems) -> Any:
        return self._transactor.write(request.writes)

    def _write_after(self, _peer: Peer, _id: int, request: wire.WriteAfter) -> Any:
        return self._transactor.write_after(request.guard, request.followers)

    def _transact(self, _peer: Peer, _id: int, request: wire.Transact) -> Any:
        return self._transactor.transact(request.parts)

    def _read_stream(self, peer: Peer, request_id: int, request: wire.ReadStream) -> Any:
        records = self._streams.read(request.consumer, request.limit)
        if records or request.wait_seconds <= 0:
            return [_stream_record(record) for record in records]
        until = self._clock.monotonic() + request.wait_seconds
        self._wait(self._readers, Waiter(peer, request_id, request.consumer, request.limit, until))
        return _LATER

    def _settle(self, _peer: Peer, _id: int, request: wire.SettleStream) -> None:
        self._streams.settle(request.consumer, request.through)
        self._messages.note_positions({request.consumer: feed_number(request.through)})

    def _rewind(self, _peer: Peer, _id: int, request: wire.RewindStream) -> None:
        self._streams.rewind(request.consumer)

    def _publish(self, _peer: Peer, _id: int, request: wire.Publish) -> list[str | None]:
        answers, _ = self._messages.publish(request.entries, request.origin, self._clock.monotonic(), self._clock.now())
        return answers

    def _send(self, _peer: Peer, _id: int, request: wire.Send) -> list[str | None]:
        return self._messages.send(request.queue, request.messages, request.origin, self._clock.monotonic())

    def _receive(self, peer: Peer, request_id: int, request: wire.Receive) -> Any:
        now = self._clock.monotonic()
        messages = self._messages.receive(request.queue, request.limit, now, peer)
        if messages or request.wait_seconds <= 0:
            return messages
        waiter = Waiter(peer, request_id, request.queue, request.limit, now + request.wait_seconds)
        self._wait(self._receivers, waiter)
        return _LATER

    def _delete(self, _peer: Peer, _id: int, request: wire.DeleteMessages) -> None:
        self._messages.delete(request.queue, request.receipts)

    def _extend(self, _peer: Peer, _id: int, request: wire.ExtendMessages) -> None:
        self._messages.extend(request.queue, request.receipts, self._clock.monotonic(), request.seconds)

    def _watch(self, peer: Peer, _id: int, request: wire.WatchKey) -> None:
        if len(self._watchers) >= WATCHED_KEYS_MAX:
            raise Fatal(f"{WATCHED_KEYS_MAX} items are watched already")
        self._watchers.setdefault(request.key, set()).add(peer)

    def _forget(self, peer: Peer, _id: int, request: wire.ForgetKey) -> None:
        self._unwatch(peer, request.key)

    def _count(self, _peer: Peer, _id: int, _request: wire.CountRequests) -> int:
        return self._requests

    # --- after the commit ---------------------------------------------------------------------

    def _commit(self) -> Changes:
        self._streams.make_durable(self._messages.durable_positions())
        return self._database.commit(self._now_ms())

    def announce(self, changes: Changes) -> None:
        if self._watchers:
            for key in changes.keys & self._watchers.keys():
                for peer in self._watchers[key]:
                    peer.reply(0, wire.NOTICE, key)
        if changes.records:
            self._serve_readers()
        if self._receivers:
            self._serve_receivers()

    def _serve_readers(self, expired_at: float = 0.0) -> None:
        for _ in range(len(self._readers)):
            waiter = self._readers.popleft()
            records = self._streams.read(waiter.name, waiter.limit)
            if records or waiter.until <= expired_at:
                waiter.peer.reply(waiter.request_id, wire.ANSWER, [_stream_record(record) for record in records])
            else:
                self._readers.append(waiter)

    def _serve_receivers(self, expired_at: float = 0.0) -> None:
        now = self._clock.monotonic()
        for _ in range(len(self._receivers)):
            waiter = self._receivers.popleft()
            messages = self._messages.receive(waiter.name, waiter.limit, now, waiter.peer)
            if messages or waiter.until <= expired_at:
                waiter.peer.reply(waiter.request_id, wire.ANSWER, messages)
            else:
                self._receivers.append(waiter)

    @staticmethod
    def _wait(waiters: deque[Waiter], waiter: Waiter) -> None:
        if len(waiters) >= WAITERS_MAX:
            raise Fatal(f"{WAITERS_MAX} clients wait already")
        waiters.append(waiter)

    def _unwatch(self, peer: Peer, key: Key) -> None:
        peers = self._watchers.get(key, set())
        peers.discard(peer)
        if not peers:
            self._watchers.pop(key, None)

    def _now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1000)


def _stream_record(record: Record) -> StreamRecord:
    item: Any = None if record.body is None else msgspec.Raw(record.body)
    return StreamRecord(str(record.seq).zfill(SEQUENCE_DIGITS), record.key, item)
