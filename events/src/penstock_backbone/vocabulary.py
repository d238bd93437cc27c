"""The closed vocabulary of reads and conditional writes that every engine speaks.

Conditions and updates are data: the aws engine compiles them to DynamoDB expressions, the local
engines evaluate them over a dict. There is no arithmetic (an SDK retry would apply it twice): the
writer computes the new value and guards the write with the old one.

An item is a dict of str, int, bool, None, bytes, list and dict. Floats are refused: DynamoDB would
hand back decimals. A path names an attribute, or one inside nested maps with "/" between the names
("stages/draft/state"); every map on the way must exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

Item: TypeAlias = dict[str, Any]

BATCH_ITEMS_MAX = 100
"""Most keys, writes or messages in one port call (DynamoDB's TransactWriteItems and BatchGetItem)."""
ITEM_BYTES_MAX = 400 * 1024
"""DynamoDB's limit for one item, names and values in UTF-8 (see sizes.py)."""
TRANSACTION_BYTES_MAX = 4 * 1024 * 1024
PAGE_BYTES_MAX = 1024 * 1024
PAGE_ITEMS_MAX = 1000
KEY_BYTES_MAX = 1024


class Key(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Where an item lives. Every table has a string partition key `pk` and a string sort key `sk`."""

    table: str
    pk: str
    sk: str


# --- conditions -------------------------------------------------------------------------------


class _Condition(msgspec.Struct, frozen=True, array_like=True):
    def __and__(self, other: Condition) -> And:
        return And((self, other))  # type: ignore[arg-type]  # every subclass below is a Condition

    def __or__(self, other: Condition) -> Or:
        return Or((self, other))  # type: ignore[arg-type]  # every subclass below is a Condition


class Equals(_Condition, frozen=True, array_like=True, tag="="):
    """True when the attribute exists, has the type of `value`, and equals it."""

    path: str
    value: Any


class Less(_Condition, frozen=True, array_like=True, tag="<"):
    """True when the attribute exists, has the type of `value` (int or str), and is smaller."""

    path: str
    value: int | str


class Greater(_Condition, frozen=True, array_like=True, tag=">"):
    """True when the attribute exists, has the type of `value` (int or str), and is larger."""

    path: str
    value: int | str


class Exists(_Condition, frozen=True, array_like=True, tag="+"):
    """True when the item has the attribute; `Exists("pk")`: the item is there."""

    path: str


class Missing(_Condition, frozen=True, array_like=True, tag="-"):
    """True when the item lacks the attribute; `Missing("pk")`: the item is not there."""

    path: str


class And(_Condition, frozen=True, array_like=True, tag="&"):
    all: tuple[Condition, ...]


class Or(_Condition, frozen=True, array_like=True, tag="|"):
    any: tuple[Condition, ...]


Condition: TypeAlias = Equals | Less | Greater | Exists | Missing | And | Or


# --- writes -----------------------------------------------------------------------------------


class Put(msgspec.Struct, frozen=True, array_like=True, tag="put"):
    """Writes the whole item (without pk and sk: the key gives them), replacing what was there."""

    key: Key
    item: Item
    when: Condition | None = None


class Update(msgspec.Struct, frozen=True, array_like=True, tag="update"):
    """Sets and removes attributes by path. Never creates an item: it carries Exists("pk") by itself.

    With `returning`, a successful outcome holds the new item (free of read units on DynamoDB).
    """

    key: Key
    set: dict[str, Any]
    when: Condition | None = None
    remove: tuple[str, ...] = ()
    returning: bool = False


class Delete(msgspec.Struct, frozen=True, array_like=True, tag="delete"):
    """Removes the item; removing one that is not there succeeds unless `when` says otherwise."""

    key: Key
    when: Condition | None = None


class Check(msgspec.Struct, frozen=True, array_like=True, tag="check"):
    """Changes nothing; only in a transaction, which it lets through or refuses."""

    key: Key
    when: Condition


Write: TypeAlias = Put | Update | Delete
TransactionPart: TypeAlias = Put | Update | Delete | Check


# --- outcomes ---------------------------------------------------------------------------------


class Written(msgspec.Struct, frozen=True, array_like=True, tag="written"):
    """Committed durably. `item` is the new image for an Update with `returning`, else None."""

    item: Item | None = None


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """The condition was false; `item` is what stood there (None: nothing did). Nothing changed.

    After a lost response the writer finds its own earlier success in `item`.
    """

    item: Item | None = None


class Unsettled(msgspec.Struct, frozen=True, array_like=True, tag="unsettled"):
    """Not known to be applied: throttled, in conflict, or never sent. Look again, then repeat by condition."""

    reason: str


Outcome: TypeAlias = Written | Refused | Unsettled


class Committed(msgspec.Struct, frozen=True, array_like=True, tag="committed"):
    """Every part of the transaction is durable."""


class Cancelled(msgspec.Struct, frozen=True, array_like=True, tag="cancelled"):
    """No part was applied. One entry a part, in order: its Refused, or None where its condition held."""

    reasons: tuple[Refused | None, ...]


TransactionOutcome: TypeAlias = Committed | Cancelled


# --- queries ----------------------------------------------------------------------------------


class Query(msgspec.Struct, frozen=True, array_like=True):
    """Items of one partition in the order of their sort key (of an index: of its two attributes).

    `prefix` keeps sort keys that begin with it. Base-table queries are strongly consistent; those on an
    index may lag. `limit` counts items; a page also ends at PAGE_BYTES_MAX.
    """

    table: str
    pk: str
    index: str | None = None
    prefix: str = ""
    descending: bool = False
    limit: int = BATCH_ITEMS_MAX
    cursor: str | None = None


class Page(msgspec.Struct, frozen=True, array_like=True):
    """`cursor` None: this was the last page. A cursor is opaque; a foreign or damaged one raises BadCursor."""

    items: Sequence[Item]
    cursor: str | None = None


# --- streams, bus, queues, blobs ---------------------------------------------------------------


class StreamRecord(msgspec.Struct, frozen=True, array_like=True):
    """One committed change of one item, in commit order per item. `item` None: it was deleted.

    `sequence` grows within a shard (a decimal string as DynamoDB gives it, zero-padded where local).
    An update that changed nothing leaves no record.
    """

    sequence: str
    key: Key
    item: Item | None


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """The stream record that made somebody send: an engine may then lean on the record's redelivery
    instead of storing the message at once (the embedded engine does; the aws engine ignores it)."""

    consumer: str
    sequence: str


class BusEntry(msgspec.Struct, frozen=True, array_like=True):
    """One event for the bus. `detail` is JSON text, the envelope of penstock_events."""

    source: str
    detail_type: str
    detail: str


class NotNow(str):
    """The reason why an entry or a message was not taken this time: it was throttled, or the service was ill. The same one may
    be taken later; any other reason stands for good."""

    __slots__ = ()


class Message(msgspec.Struct, frozen=True, array_like=True):
    """A received message. `receives` counts deliveries, this one included; `receipt` settles it."""

    id: str
    receipt: str
    body: str
    receives: int
    group: str


class Outgoing(msgspec.Struct, frozen=True, array_like=True):
    """A message to send. `group` is the fairness group (the tenant), as SQS fair queues take it."""

    body: str
    group: str = ""


class BlobRef(msgspec.Struct, frozen=True, array_like=True):
    """Where a blob is and what it must be: `sha256` in hex, `size` in bytes."""

    key: str
    sha256: str
    size: int
