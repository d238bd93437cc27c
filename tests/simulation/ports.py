"""The ports of one simulated process: each call goes through the network to the one engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from random import Random  # noqa: TID251  # the simulation's chance is seeded

from tests.simulation.brokers import QueueBroker, StreamBroker
from tests.simulation.machine import Process
from tests.simulation.network import Network, at_once, waits
from tests.simulation.plan import CLAIM, COMMIT, END, HEADS, LEDGER, REVOKE
from tests.simulation.stories import Announced

from penstock_backbone.inventory import RUNS, SESSIONS
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.ports import Watch
from penstock_backbone.records.runs import TERMINAL
from penstock_backbone.records.shards import ledger_key
from penstock_backbone.vocabulary import (
    BlobRef,
    BusEntry,
    Item,
    Key,
    Message,
    Origin,
    Outcome,
    Outgoing,
    Page,
    Query,
    StreamRecord,
    TransactionOutcome,
    TransactionPart,
    Unsettled,
    Update,
    Write,
    Written,
)

REFUSED = "throttled"


class _Part:
    def __init__(self, process: Process, network: Network) -> None:
        self._process = process
        self._network = network
        self._engine: MemoryEngine = network.engine
        self._call = partial(network.call, process)


class Tables(_Part):
    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        """Of several items at once the engine promises no common moment: here the ledger is always the oldest."""
        *others, last = keys
        if others and last == ledger_key() and self._engine.storage.read(last) is not None:
            (ledger,) = await self._get("tables.get ledger", [last])
            return [*await self._get(HEADS, others), ledger]
        return await self._get("tables.get", keys)

    async def _get(self, name: str, keys: Sequence[Key]) -> list[Item | None]:
        items: list[Item | None] = await self._call(name, lambda: at_once(self._engine.tables.get(keys)))
        return items

    async def query(self, query: Query) -> Page:
        name = f"tables.query {query.pk}" if query.cursor is None else "tables.query on"
        page: Page = await self._call(name, lambda: at_once(self._engine.tables.query(query)))
        return page

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        def some(amount: int) -> list[Outcome]:
            chosen = _chosen(len(writes), amount)
            self._note_parts(chosen)
            kept = [write for write, take in zip(writes, chosen, strict=True) if take]
            answers = iter(self._write(kept) if kept else [])
            return [next(answers) if take else Unsettled(REFUSED) for take in chosen]

        outcomes: list[Outcome] = await self._call(
            _name_of(writes[0]),
            lambda: self._write(writes),
            refuse=lambda reason: [Unsettled(reason) for _ in writes],
            halve=some,
            of_session=writes[0].key.table == SESSIONS,
            writes=writes,
        )
        return outcomes

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        def some(amount: int) -> tuple[Outcome, list[Outcome]]:
            chosen = _chosen(len(followers), amount)
            self._note_parts(chosen)
            kept = [write for write, take in zip(followers, chosen, strict=True) if take]
            outcome, outcomes = self._write_after(guard, kept)
            if not isinstance(outcome, Written):
                return outcome, []
            answers = iter(outcomes)
            return outcome, [next(answers) if take else Unsettled(REFUSED) for take in chosen]

        answer: tuple[Outcome, list[Outcome]] = await self._call(
            f"tables.write_after {guard.key.table}",
            lambda: self._write_after(guard, followers),
            refuse=lambda reason: (Unsettled(reason), []),
            halve=some,
            views=self._seen_by(guard),
        )
        return answer

    def _seen_by(self, guard: Write) -> dict[str, float]:
        """What was seen when it was decided: a repetition decides nothing anew."""
        decision = guard.set.get("cid", "") if isinstance(guard, Update) else ""
        known, views = self._process.decided.get(guard.key, ("", {}))
        if not decision or decision != known:
            process = self._process
            views = process.views | {waits(token): process.loop.now for token in process.line()}
            self._process.decided[guard.key] = decision, views
        return views

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        def apply() -> TransactionOutcome:
            outcome = at_once(self._engine.tables.transact(parts))
            self._network.sightings.transaction(parts, outcome, self._how())
            return outcome

        name = LEDGER if parts[0].key == ledger_key() else "tables.transact"
        outcome: TransactionOutcome = await self._call(name, apply)
        return outcome

    def _note_parts(self, chosen: Sequence[bool]) -> None:
        if len(set(chosen)) > 1:
            self._network.sightings.note("a batch was refused in part (15, 49)")

    def _write(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = at_once(self._engine.tables.write(writes))
        self._network.sightings.writes(writes, outcomes, self._process.name, self._how())
        return outcomes

    def _write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        outcome, outcomes = at_once(self._engine.tables.write_after(guard, followers))
        all_writes, all_outcomes = [guard, *followers], [outcome, *outcomes]
        self._network.sightings.writes(all_writes, all_outcomes, self._process.name, self._how())
        return outcome, outcomes

    def _how(self) -> str:
        """The call that is being applied comes."""
        call = self._network.caller
        assert call is not None
        return call.how


class Streams(_Part):
    def __init__(self, process: Process, network: Network, broker: StreamBroker) -> None:
        super().__init__(process, network)
        self._broker = broker

    async def read(self, consumer: str, limit: int, wait_seconds: float) -> list[StreamRecord]:
        answer: asyncio.Future[list[StreamRecord]] = self._network.loop.create_answer()

        def begin() -> None:
            self._broker.read(self._process, consumer, limit, wait_seconds, answer)

        try:
            await self._call("streams.read", begin)
            return await answer
        finally:
            answer.cancel()

    async def settle(self, consumer: str, through: str) -> None:
        await self._call("streams.settle", lambda: self._broker.settle(self._process, consumer, through))

    async def rewind(self, consumer: str) -> None:
        await self._call("streams.rewind", lambda: self._broker.rewind(self._process, consumer))


class Queues(_Part):
    def __init__(self, process: Process, network: Network, broker: QueueBroker) -> None:
        super().__init__(process, network)
        self._broker = broker

    async def send(self, queue: str, messages: Sequence[Outgoing], origin: Origin | None = None) -> list[str | None]:
        def some(amount: int) -> list[str | None]:
            chosen = _chosen(len(messages), amount)
            return [
                self._broker.accept(queue, message) if take else REFUSED
                for message, take in zip(messages, chosen, strict=True)
            ]

        refusals: list[str | None] = await self._call(
            "queues.send", lambda: [self._broker.accept(queue, each) for each in messages], halve=some
        )
        return refusals

    async def receive(self, queue: str, limit: int, wait_seconds: float) -> list[Message]:
        answer: asyncio.Future[list[Message]] = self._network.loop.create_answer()

        def begin() -> None:
            self._broker.receive(self._process, queue, limit, wait_seconds, answer)

        try:
            await self._call("queues.receive", begin)
            return await answer
        finally:
            answer.cancel()

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        await self._call("queues.delete", lambda: at_once(self._engine.queues.delete(queue, receipts)))

    async def extend(self, queue: str, receipts: Sequence[str], seconds: float) -> None:
        await self._call("queues.extend", lambda: self._broker.extend(queue, receipts, seconds))


class Bus(_Part):
    def __init__(self, process: Process, network: Network, announced: Announced) -> None:
        super().__init__(process, network)
        self._announced = announced

    async def publish(self, entries: Sequence[BusEntry], origin: Origin | None = None) -> list[str | None]:
        def some(amount: int) -> list[str | None]:
            chosen = _chosen(len(entries), amount)
            kept = [entry for entry, take in zip(entries, chosen, strict=True) if take]
            if kept:
                self._network.sightings.note("events were refused in part (15)")
            answers = iter(self._publish(kept) if kept else [])
            return [next(answers) if take else REFUSED for take in chosen]

        refusals: list[str | None] = await self._call("bus.publish", lambda: self._publish(entries), halve=some)
        return refusals

    def _publish(self, entries: Sequence[BusEntry]) -> list[str | None]:
        answers = at_once(self._engine.bus.publish(entries))
        for entry, refusal in zip(entries, answers, strict=True):
            if refusal is None:
                self._announced.hear(entry)
                self._process.published_at = self._network.loop.now
        return answers


class Blobs(_Part):
    async def put(self, key: str, data: bytes) -> BlobRef:
        ref: BlobRef = await self._call("blobs.put", lambda: at_once(self._engine.blobs.put(key, data)))
        return ref

    async def get(self, ref: BlobRef) -> bytes:
        data: bytes = await self._call("blobs.get", lambda: at_once(self._engine.blobs.get(ref)))
        return data


class Silence:
    """A watch only hints, and nothing may depend on it: here nobody is ever woken."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def changed(self, _key: Key, wait_seconds: float) -> bool:
        await self._process.clock.sleep(wait_seconds)
        return False

    async def forget(self, _key: Key) -> None:
        """Nothing was noted."""


class SimulatedEngine:
    """What one process is given."""

    def __init__(
        self, process: Process, network: Network, queues: QueueBroker, streams: StreamBroker, announced: Announced
    ) -> None:
        self.tables = Tables(process, network)
        self.streams = Streams(process, network, streams)
        self.queues = Queues(process, network, queues)
        self.bus = Bus(process, network, announced)
        self.blobs = Blobs(process, network)
        self.watch: Watch = Silence(process)

    async def close(self) -> None:
        """Nothing to release."""


def _name_of(write: Write) -> str:
    """The name of a batch of writes, by its first: what it does to a run matters to the plan."""
    if write.key.table != RUNS:
        return f"tables.write {write.key.table}"
    changes = write.set if isinstance(write, Update) else {}
    if "session" in changes:
        return CLAIM
    if "revoked" in changes:
        return REVOKE
    return END if changes.get("state") in TERMINAL else COMMIT


def _chosen(count: int, amount: int) -> list[bool]:
    """Some and not all of `count`, where there is more than one."""
    chance = Random(amount)  # repeatable is what it has to be
    chosen = [chance.random() < 0.5 for _ in range(count)]
    if count:
        chosen[chance.randrange(count)] = False
    return chosen
