"""The dispatcher: a committed grant becomes a message for the runners."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_backbone.inventory import DISPATCH_QUEUE, DISPATCHER
from penstock_backbone.ports import Queues
from penstock_backbone.records.tokens import HELD, as_token
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Origin, Outgoing, StreamRecord
from penstock_orchestrator.domain.dispatch import dispatch
from penstock_orchestrator.handlers.records import DAMAGE, Failure, damage, lowest


class Dispatcher:
    """Grants of different tokens do not wait for each other."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    async def __call__(self, records: Sequence[StreamRecord]) -> Failure | None:
        reasons: dict[int, str] = {}
        messages = _messages(records, reasons)
        for start in range(0, len(messages), BATCH_ITEMS_MAX):
            batch = messages[start : start + BATCH_ITEMS_MAX]
            origin = Origin(DISPATCHER, records[batch[0][0]].sequence)
            answers = await self._queues.send(DISPATCH_QUEUE, [message for _, message in batch], origin)
            for (place, _), refusal in zip(batch, answers, strict=True):
                if refusal is not None:
                    reasons[place] = refusal
        return lowest(records, reasons)


def _messages(records: Sequence[StreamRecord], reasons: dict[int, str]) -> list[tuple[int, Outgoing]]:
    """Each grant with its record's place. A head has no state, and a token that waits concerns nobody."""
    messages: list[tuple[int, Outgoing]] = []
    for place, record in enumerate(records):
        if record.item is None or record.item.get("st") != HELD:
            continue
        token = as_token(record.item)
        try:
            message = dispatch(
                run=token["run"], fence=token["f"], token=token["sk"], tenant=token["tenant"], project=token["project"]
            )
        except DAMAGE as error:
            reasons[place] = damage(record, error)
        else:
            messages.append((place, message))
    return messages
