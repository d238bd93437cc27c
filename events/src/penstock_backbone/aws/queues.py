"""The Queues port over SQS standard queues, fair by message group."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from penstock_backbone.aws.batches import Sized, answers, batches
from penstock_backbone.aws.calls import Calls, Service
from penstock_backbone.aws.errors import sort_code
from penstock_backbone.aws.settings import Names
from penstock_backbone.errors import BackboneError, Fatal, Invalid, Retryable
from penstock_backbone.inventory import Inventory
from penstock_backbone.local.limits import MESSAGE_BYTES_MAX, check_text_size
from penstock_backbone.ports import Clock
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Message, NotNow, Origin, Outgoing

ENTRIES_MAX = 10
"""SQS's limit for one batch."""
LONG_POLL_SECONDS_MAX = 20
EMULATOR_LONG_POLL_SECONDS_MAX = 1
"""Short on an emulator, so that Ctrl-C never waits long for a poll under way; in the cloud each poll costs money."""
SHORT_POLL_SECONDS = 0.1
HIDDEN_SECONDS_MAX = 12 * 3600
_GROUP = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_EXPIRED = frozenset({
    "AWS.SimpleQueueService.MessageNotInflight", "InvalidParameterValue", "MessageNotInflight",
    "ReceiptHandleIsInvalid",
})  # fmt: skip


class AwsQueues:
    def __init__(
        self, calls: Calls, names: Names, inventory: Inventory, clock: Clock, long_poll_seconds_max: int
    ) -> None:
        self._calls = calls
        self._names = names
        self._known = {queue.name for queue in inventory.queues}
        self._known |= {queue.dlq for queue in inventory.queues if queue.dead_letter}
        self._clock = clock
        self._long_poll_seconds_max = long_poll_seconds_max
        self._addresses: dict[str, str] = {}

    async def send(self, queue: str, messages: Sequence[Outgoing], origin: Origin | None = None) -> list[str | None]:
        del origin  # a message is stored by SQS before it answers
        if len(messages) > BATCH_ITEMS_MAX:
            raise Invalid(f"{len(messages)} messages in one call: {BATCH_ITEMS_MAX} at most")
        address = await self._address(queue)
        reasons = [check_text_size(message.body, MESSAGE_BYTES_MAX, "the message") for message in messages]
        reasons = [
            reason or (None if messages[place].body else "the message is empty") for place, reason in enumerate(reasons)
        ]
        sized = [
            Sized(place, len(message.body.encode())) for place, message in enumerate(messages) if reasons[place] is None
        ]
        groups = batches(sized, count_max=ENTRIES_MAX, bytes_max=MESSAGE_BYTES_MAX)
        results = await asyncio.gather(
            *(self._send(address, [messages[place] for place in group]) for group in groups), return_exceptions=True
        )
        for place, reason in answers(groups, results):
            reasons[place] = reason
        return reasons

    async def receive(self, queue: str, limit: int, wait_seconds: float) -> list[Message]:
        address = await self._address(queue)
        end = self._clock.monotonic() + wait_seconds
        while True:
            left = max(0.0, end - self._clock.monotonic())
            # SQS waits whole seconds; what is left below one is spent in short polls.
            seconds = min(int(left), self._long_poll_seconds_max)
            messages = await self._receive(address, min(limit, ENTRIES_MAX), seconds)
            if messages:
                return messages + await self._receive_more(address, limit, len(messages))
            left = end - self._clock.monotonic()
            if left <= 0:
                return []
            if seconds == 0:
                await self._clock.sleep(min(left, SHORT_POLL_SECONDS))

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        await self._each_batch(queue, "delete_message_batch", receipts, {})

    async def extend(self, queue: str, receipts: Sequence[str], seconds: float) -> None:
        hidden = min(math.ceil(seconds), HIDDEN_SECONDS_MAX)
        await self._each_batch(queue, "change_message_visibility_batch", receipts, {"VisibilityTimeout": hidden})

    # --- sending ------------------------------------------------------------------------------

    async def _send(self, address: str, messages: Sequence[Outgoing]) -> list[str | None]:
        entries = [
            {"Id": str(place), "MessageBody": message.body} | _group(message.group)
            for place, message in enumerate(messages)
        ]
        answer = await self._calls.call(Service.QUEUES, "send_message_batch", QueueUrl=address, Entries=entries)
        reasons: list[str | None] = [None] * len(messages)
        for failed in answer.get("Failed", []):
            reason = f"{failed['Code']}: {failed.get('Message', '')}"
            reasons[int(failed["Id"])] = reason if failed.get("SenderFault") else NotNow(reason)
        return reasons

    # --- receiving ----------------------------------------------------------------------------

    async def _receive_more(self, address: str, limit: int, count: int) -> list[Message]:
        """SQS gives ten at a time: a full answer means that there are more, which are asked for side by side."""
        if count < ENTRIES_MAX or limit <= count:
            return []
        sizes = [min(ENTRIES_MAX, limit - start) for start in range(count, limit, ENTRIES_MAX)]
        results = await asyncio.gather(*(self._receive(address, size, 0) for size in sizes), return_exceptions=True)
        # What was received is handed on even if another of the calls failed: the caller will ask again.
        return [message for result in results if not isinstance(result, BaseException) for message in result]

    async def _receive(self, address: str, count: int, seconds: int) -> list[Message]:
        abandoned = threading.Event()
        try:
            return await self._calls.on_thread(partial(self._receive_here, address, count, seconds, abandoned))
        finally:
            abandoned.set()

    def _receive_here(self, address: str, count: int, seconds: int, abandoned: threading.Event) -> list[Message]:
        """On a thread. Messages that arrive when nobody waits for them any more are given back at once."""
        answer = self._calls.call_here(
            Service.QUEUES,
            "receive_message",
            QueueUrl=address,
            MaxNumberOfMessages=count,
            WaitTimeSeconds=seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "MessageGroupId"],
        )
        messages = [_message(raw) for raw in answer.get("Messages", [])]
        if messages and abandoned.is_set():
            entries = _entries([message.receipt for message in messages], {"VisibilityTimeout": 0})
            self._calls.call_here(Service.QUEUES, "change_message_visibility_batch", QueueUrl=address, Entries=entries)
        return messages

    # --- settling -----------------------------------------------------------------------------

    async def _each_batch(self, queue: str, operation: str, receipts: Sequence[str], more: Mapping[str, Any]) -> None:
        address = await self._address(queue)
        results = await asyncio.gather(
            *(
                self._calls.call(Service.QUEUES, operation, QueueUrl=address, Entries=_entries(part, more))
                for part in _parts(receipts)
            )
        )
        failures = [failed for answer in results for failed in answer.get("Failed", [])]
        errors = [_failure(failed) for failed in failures if failed["Code"] not in _EXPIRED]
        if errors:
            raise errors[0]

    async def _address(self, queue: str) -> str:
        if queue not in self._addresses:
            if queue not in self._known:
                raise Fatal(f"there is no queue {queue!r} in the inventory")
            answer = await self._calls.call(Service.QUEUES, "get_queue_url", QueueName=self._names.physical(queue))
            self._addresses[queue] = answer["QueueUrl"]
        return self._addresses[queue]


def _group(group: str) -> dict[str, str]:
    """SQS takes up to 128 printable ASCII characters; any other group is named by its hash, which is as fair."""
    if not group:
        return {}
    return {"MessageGroupId": group if _GROUP.fullmatch(group) else hashlib.sha256(group.encode()).hexdigest()}


def _message(raw: Mapping[str, Any]) -> Message:
    attributes = raw.get("Attributes", {})
    return Message(
        id=raw["MessageId"],
        receipt=raw["ReceiptHandle"],
        body=raw["Body"],
        receives=int(attributes.get("ApproximateReceiveCount", 1)),
        group=attributes.get("MessageGroupId", ""),
    )


def _entries(receipts: Sequence[str], more: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"Id": str(place), "ReceiptHandle": receipt, **more} for place, receipt in enumerate(receipts)]


def _parts(receipts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Each receipt once: SQS refuses a batch that names one twice."""
    unique = list(dict.fromkeys(receipts))
    for start in range(0, len(unique), ENTRIES_MAX):
        yield unique[start : start + ENTRIES_MAX]


def _failure(failed: Mapping[str, Any]) -> BackboneError:
    if failed.get("SenderFault"):
        return sort_code(failed["Code"], failed.get("Message", ""), "settling a message")
    return Retryable(f"SQS could not settle a message ({failed['Code']}): try again, or it will come again")
