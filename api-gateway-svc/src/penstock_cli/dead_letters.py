"""`penstock dead-letters`: shows what failed so often that it was put aside, and with `--redrive` has it tried again."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from penstock_api.domain.text import without_unprintable
from penstock_backbone.engines import Engine, EngineSettings, open_engine
from penstock_backbone.inventory import INVENTORY, RELAY
from penstock_backbone.ports import Clock, Queues
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.touch import touch
from penstock_backbone.system import SystemClock
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Key, Message, Outgoing
from penstock_backbone.words import counted
from penstock_cli.data_folder import in_use
from penstock_cli.refusal import Refusal

LETTERS_MAX = 10_000
"""Of one queue, that one call looks at or sends again."""
SHOWN_MAX = 10
LINE_CHARS_MAX = 160


class _Item(msgspec.Struct):
    pk: str
    sk: str


class _Pointer(msgspec.Struct):
    """What the orchestrator says of a stream record that it has given up."""

    consumer: str
    table: str
    key: _Item
    reason: str


async def dead_letters(data: Path, settings: EngineSettings, *, redrive: bool) -> int:
    if settings.engine == "aws":
        raise Refusal(
            "On AWS dead letters are messages in SQS: `aws sqs receive-message` shows them, and `aws sqs "
            "start-message-move-task` sends them again (docs/operations.md, When an alarm rings)."
        )
    folder = in_use(data)
    clock = SystemClock()
    engine = await open_engine(replace(settings, data=folder.path, socket=folder.socket), clock)
    try:
        async for line in redriven(engine, clock) if redrive else shown(engine.queues):
            sys.stdout.write(f"{line}\n")
    finally:
        await engine.close()
    if not redrive:
        sys.stdout.write(f"{folder.path / 'logs'} says why; `penstock dead-letters --redrive` has them tried again.\n")
    return 0


async def shown(queues: Queues) -> AsyncIterator[str]:
    """Each queue with its first letters. They are received for a moment, and handed back in their order."""
    for name, source in _sources():
        letters = 0
        said: list[str] = []
        receipts: list[str] = []
        while letters < LETTERS_MAX and (page := await _page(queues, source, letters)):
            letters += len(page)
            said += [told(letter.body) for letter in page[: SHOWN_MAX - len(said)]]
            receipts += [letter.receipt for letter in page]
        for start in range(0, len(receipts), BATCH_ITEMS_MAX):
            await queues.extend(source, receipts[start : start + BATCH_ITEMS_MAX], 0)
        yield f"{name}: {counted(letters, 'dead letter')}{' or more' if letters == LETTERS_MAX else ''}"
        for line in said:
            yield f"  {line}"
        if letters > len(said):
            yield f"  … and {letters - len(said):,} more"


async def redriven(engine: Engine, clock: Clock) -> AsyncIterator[str]:
    """Raises Refusal when a queue takes no more. A letter is deleted once it was sent, so that a crash in between sends it
    twice, which is always safe."""
    for name, source in _sources():
        done = 0
        while done < LETTERS_MAX and (page := await _page(engine.queues, source, done)):
            reasons = await _send_again(engine, name, source, page, to_ms(clock.now()))
            taken = [letter.receipt for letter, reason in zip(page, reasons, strict=True) if reason is None]
            left = [letter.receipt for letter, reason in zip(page, reasons, strict=True) if reason is not None]
            await engine.queues.delete(source, taken)
            done += len(taken)
            if left:
                await engine.queues.extend(source, left, 0)
                why = next(filter(None, reasons))
                raise Refusal(f"{name}: {counted(done, 'letter')} sent again, and then no more, because {why}.")
        yield f"{name}: {counted(done, 'letter')} sent again"


def told(body: str) -> str:
    """What a letter is about, in one line for a terminal."""
    pointer = _pointer(body)
    if pointer is not None:
        line = f"{pointer.consumer}: {pointer.reason}"
    else:
        line = _named(body) or body.strip().partition("\n")[0]
    line = without_unprintable(line)
    return line if len(line) <= LINE_CHARS_MAX else f"{line[:LINE_CHARS_MAX]}…"


def _named(body: str) -> str | None:
    """A hint of the bus by its project, a granted run by its id."""
    try:
        letter = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    match letter:
        case {"detail-type": kind, "detail": {"metadata": {"project_id": project, "run_id": run}}}:
            return f"{kind} of {project}, {run}"
        case {"run": run, "fence": fence}:
            return f"{run}, grant {fence}"
        case _:
            return None


def _pointer(body: str) -> _Pointer | None:
    try:
        return msgspec.json.decode(body, type=_Pointer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _sources() -> list[tuple[str, str]]:
    """Every queue, and where its dead letters stand: one that has none of its own is for them."""
    return [(queue.name, queue.dlq if queue.dead_letter else queue.name) for queue in INVENTORY.queues]


async def _page(queues: Queues, source: str, so_far: int) -> list[Message]:
    return await queues.receive(source, min(BATCH_ITEMS_MAX, LETTERS_MAX - so_far), 0)


async def _send_again(engine: Engine, name: str, source: str, page: Sequence[Message], at: int) -> Sequence[str | None]:
    """The reason why not, for each. A stream record that the relay gave up is gone: its item is touched, so that the stream
    tells of it again. What other readers of streams gave up the sweep finds by itself."""
    if name != source:
        return await engine.queues.send(name, [Outgoing(letter.body, letter.group) for letter in page])
    pointers = [pointer for letter in page if (pointer := _pointer(letter.body)) is not None]
    keys = {Key(each.table, each.key.pk, each.key.sk) for each in pointers if each.consumer == RELAY}
    if keys:
        await engine.tables.write([touch(key, at=at) for key in sorted(keys)])
    return [None] * len(page)
