"""Queues: at least once, hidden while somebody works on it, back when nobody finished, put aside after too many tries."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from tests.contract.contract_inventory import CONTRACT, RECEIVES_MAX
from tests.contract.rigs import Rig
from tests.contract.waiting import in_background

from penstock_backbone.engines import Engine
from penstock_backbone.errors import BackboneError
from penstock_backbone.ports import Queues
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Message, Outgoing

pytestmark = pytest.mark.anyio

SOON_SECONDS = 2.0
NOTHING_SECONDS = 0.05
RECEIVES_AT_MOST = 50
MEGABYTE = 1024 * 1024


async def send(queues: Queues, queue: str, *bodies: str) -> None:
    assert await queues.send(queue, [Outgoing(body) for body in bodies]) == [None] * len(bodies)


async def receive_all(queues: Queues, queue: str, count: int) -> list[Message]:
    """So many messages, however many receives that takes."""
    found: list[Message] = []
    for _ in range(RECEIVES_AT_MOST):
        if len(found) >= count:
            return found
        found += await queues.receive(queue, 10, SOON_SECONDS)
    raise AssertionError(f"only {len(found)} of {count} messages came")


async def receive_one(queues: Queues, queue: str) -> Message:
    [message] = await queues.receive(queue, 1, SOON_SECONDS)
    return message


async def is_empty(queues: Queues, queue: str) -> bool:
    return await queues.receive(queue, 10, NOTHING_SECONDS) == []


async def test_a_message_comes_as_it_was_sent(engine: Engine) -> None:
    body = '{"text": "多语言 ✓ \U0001f600 \\" \\n"}\n\t<&>'
    await send(engine.queues, "plain", body)
    message = await receive_one(engine.queues, "plain")
    assert (message.body, message.receives) == (body, 1)
    assert message.id
    assert message.receipt
    await engine.queues.delete("plain", [message.receipt])
    assert await is_empty(engine.queues, "plain")


async def test_a_received_message_is_hidden_and_a_deleted_one_is_gone(engine: Engine) -> None:
    await send(engine.queues, "hidden", "a", "b")
    messages = await receive_all(engine.queues, "hidden", 2)
    assert {message.body for message in messages} == {"a", "b"}
    assert await is_empty(engine.queues, "hidden")
    await engine.queues.delete("hidden", [message.receipt for message in messages])
    assert await is_empty(engine.queues, "hidden")


async def test_a_message_handed_back_comes_at_once_and_counts_its_deliveries(engine: Engine) -> None:
    await send(engine.queues, "handed-back", "a")
    first = await receive_one(engine.queues, "handed-back")
    await engine.queues.extend("handed-back", [first.receipt], 0)
    second = await receive_one(engine.queues, "handed-back")
    assert (second.id, second.body) == (first.id, "a")
    assert (first.receives, second.receives) == (1, 2)
    assert second.receipt != first.receipt
    await engine.queues.delete("handed-back", [second.receipt])
    assert await is_empty(engine.queues, "handed-back")


async def test_a_message_that_nobody_deletes_comes_again_when_its_time_is_up(engine: Engine) -> None:
    await send(engine.queues, "lengthened", "a")
    first = await receive_one(engine.queues, "lengthened")
    await engine.queues.extend("lengthened", [first.receipt], 1)
    assert await is_empty(engine.queues, "lengthened")
    [second] = await engine.queues.receive("lengthened", 1, 5.0)
    assert (second.id, second.receives) == (first.id, 2)
    await engine.queues.delete("lengthened", [second.receipt])


async def test_a_receipt_that_has_expired_settles_nothing(engine: Engine) -> None:
    """The message is somebody else's by now: neither may the first one delete it, nor hand it back."""
    await send(engine.queues, "expired", "a")
    first = await receive_one(engine.queues, "expired")
    await engine.queues.extend("expired", [first.receipt], 0)
    second = await receive_one(engine.queues, "expired")
    await engine.queues.delete("expired", [first.receipt])
    await engine.queues.extend("expired", [first.receipt], 0)
    assert await is_empty(engine.queues, "expired")
    await engine.queues.extend("expired", [second.receipt], 0)
    third = await receive_one(engine.queues, "expired")
    assert (third.id, third.receives) == (first.id, 3)
    await engine.queues.delete("expired", [third.receipt])
    await engine.queues.delete("expired", [third.receipt])


async def test_a_message_received_too_often_goes_to_the_dead_letters(engine: Engine) -> None:
    await send(engine.queues, "poisoned", "bad")
    for receives in range(1, RECEIVES_MAX + 1):
        message = await receive_one(engine.queues, "poisoned")
        assert message.receives == receives
        await engine.queues.extend("poisoned", [message.receipt], 0)
    assert await is_empty(engine.queues, "poisoned")
    dead = await receive_one(engine.queues, CONTRACT.queue("poisoned").dlq)
    assert dead.body == "bad"
    await engine.queues.delete("poisoned-dlq", [dead.receipt])
    assert await is_empty(engine.queues, "poisoned-dlq")


async def test_a_full_batch_is_sent_received_and_deleted(engine: Engine) -> None:
    bodies = [f"{n:03}" for n in range(BATCH_ITEMS_MAX)]
    await send(engine.queues, "many", *bodies)
    messages = await receive_all(engine.queues, "many", BATCH_ITEMS_MAX)
    assert sorted(message.body for message in messages) == bodies
    await engine.queues.extend("many", [message.receipt for message in messages], 0)
    again = await receive_all(engine.queues, "many", BATCH_ITEMS_MAX)
    assert sorted(message.body for message in again) == bodies
    await engine.queues.delete("many", [message.receipt for message in again])
    assert await is_empty(engine.queues, "many")


async def test_a_receive_takes_at_most_its_limit(engine: Engine) -> None:
    await send(engine.queues, "followed", *"abcdefg")
    first = await engine.queues.receive("followed", 3, SOON_SECONDS)
    assert 1 <= len(first) <= 3
    rest = await receive_all(engine.queues, "followed", 7 - len(first))
    await engine.queues.delete("followed", [message.receipt for message in first + rest])
    assert Counter(message.body for message in first + rest) == Counter("abcdefg")


async def test_one_message_too_large_does_not_keep_the_others_out(engine: Engine) -> None:
    messages = [Outgoing("a"), Outgoing("x" * (2 * MEGABYTE)), Outgoing("b")]
    answers = await engine.queues.send("partial", messages)
    assert answers[0] is None
    assert answers[1]
    assert answers[2] is None
    received = await receive_all(engine.queues, "partial", 2)
    assert {message.body for message in received} == {"a", "b"}
    assert await is_empty(engine.queues, "partial")
    await engine.queues.delete("partial", [message.receipt for message in received])


async def test_a_large_message_and_a_batch_of_them_get_through(engine: Engine) -> None:
    """Each is at its limit of 256 KB, and ten together are beyond what SQS takes in one request."""
    body = "好" * (256 * 1024 // 3)
    assert await engine.queues.send("large", [Outgoing(body)] * 10) == [None] * 10
    received = await receive_all(engine.queues, "large", 10)
    assert {message.body for message in received} == {body}
    await engine.queues.delete("large", [message.receipt for message in received])


async def test_a_message_keeps_its_group(engine: Engine) -> None:
    await engine.queues.send("grouped", [Outgoing("a", "acme"), Outgoing("b", "globex"), Outgoing("c")])
    received = await receive_all(engine.queues, "grouped", 3)
    assert {message.body: message.group for message in received} == {"a": "acme", "b": "globex", "c": ""}
    await engine.queues.delete("grouped", [message.receipt for message in received])


async def test_groups_are_fair_and_not_ordered_lanes(engine: Engine) -> None:
    """A message in flight holds nobody of its group back, and a flood of one tenant does not hide another's."""
    await engine.queues.send("fair", [Outgoing(f"flood-{n}", "big") for n in range(60)])
    await engine.queues.send("fair", [Outgoing("single", "small")])
    first = [message for _ in range(3) for message in await engine.queues.receive("fair", 10, SOON_SECONDS)]
    assert len(first) > 10
    rest = await receive_all(engine.queues, "fair", 61 - len(first))
    assert "single" in {message.body for message in first + rest}
    await engine.queues.delete("fair", [message.receipt for message in (first + rest)[:100]])


async def test_a_waiting_receiver_is_woken_by_a_message(engine: Engine) -> None:
    async with in_background(engine.queues.receive("awaited", 10, 20.0)) as waiting:
        await send(engine.queues, "awaited", "a")
        async with asyncio.timeout(SOON_SECONDS):
            [message] = await waiting
    assert message.body == "a"
    await engine.queues.delete("awaited", [message.receipt])


async def test_receivers_share_a_queue_and_each_message_goes_to_one(engine: Engine, connections: list[Engine]) -> None:
    await send(engine.queues, "rivals", *(f"{n:03}" for n in range(60)))

    async def work(queues: Queues) -> list[str]:
        bodies: list[str] = []
        while messages := await queues.receive("rivals", 7, NOTHING_SECONDS):
            bodies += [message.body for message in messages]
            await queues.delete("rivals", [message.receipt for message in messages])
        return bodies

    found = await asyncio.gather(*(work(each.queues) for each in connections))
    assert sorted(body for bodies in found for body in bodies) == [f"{n:03}" for n in range(60)]


async def test_receipts_that_are_no_receipts_are_ignored(engine: Engine) -> None:
    await send(engine.queues, "foreign", "a")
    message = await receive_one(engine.queues, "foreign")
    strange = ["", "x", ":", "1:", ":1", "-1:1", "999999999999:1", "9" * 5000 + ":1", "٣:1", "²:1", "\x00"]
    await engine.queues.delete("foreign", strange)
    await engine.queues.extend("foreign", strange, 5)
    await engine.queues.delete("foreign", [*strange, message.receipt])
    assert await is_empty(engine.queues, "foreign")


async def test_nothing_to_do_is_done(engine: Engine) -> None:
    assert await engine.queues.send("plain", []) == []
    await engine.queues.delete("plain", [])
    await engine.queues.extend("plain", [], 5)


async def test_a_queue_that_the_inventory_does_not_name_is_refused(engine: Engine) -> None:
    with pytest.raises(BackboneError):
        await engine.queues.send("nowhere", [Outgoing("a")])
    with pytest.raises(BackboneError):
        await engine.queues.receive("nowhere", 1, 0)


async def test_an_accepted_message_survives_a_crash(rig: Rig) -> None:
    await send(rig.engine.queues, "kept", "a", "b")
    taken = await receive_one(rig.engine.queues, "kept")
    await rig.engine.queues.delete("kept", [taken.receipt])
    await rig.engine.queues.send("kept", [Outgoing("c", "acme")])
    await rig.crash()
    left = await receive_all(rig.engine.queues, "kept", 2)
    bodies = {message.body: message.group for message in left}
    assert bodies.pop("c") == "acme"
    assert set(bodies) <= {"a", "b"}
    await rig.engine.queues.delete("kept", [message.receipt for message in left])
