"""What every engine refuses before it tries: wrong values, too many, the same key twice, too large."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock_backbone.errors import BadCursor, Invalid, TooLarge
from penstock_backbone.inventory import Index, Table
from penstock_backbone.vocabulary import (
    BATCH_ITEMS_MAX,
    ITEM_BYTES_MAX,
    KEY_BYTES_MAX,
    PAGE_ITEMS_MAX,
    Check,
    Delete,
    Item,
    Key,
    Put,
    Query,
    TransactionPart,
    Update,
)

INTEGER_MAX = 2**63 - 1
NESTING_MAX = 32
MESSAGE_BYTES_MAX = 256 * 1024
EVENT_ENTRY_BYTES_MAX = 256 * 1024

_PLAIN = frozenset({bool, bytes, type(None)})


def check_value(value: Any, depth: int = 0) -> None:
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is str:
        _check_text(value)
    elif kind is int:
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise Invalid(f"the number {value} does not fit 64 bits: store it as text")
    elif depth >= NESTING_MAX:
        raise Invalid(f"values may be nested {NESTING_MAX} levels deep at most")
    elif kind is dict:
        _check_map(value, depth)
    elif kind in (list, tuple):
        for part in value:
            check_value(part, depth + 1)
    else:
        raise Invalid(f"items hold text, whole numbers, booleans, null, bytes, lists and maps, not {kind.__name__}")


def _check_map(value: dict[Any, Any], depth: int) -> None:
    for name, part in value.items():
        if type(name) is not str or not name:
            raise Invalid(f"a map's names are non-empty text, not {name!r}")
        if not name.isascii():
            _check_text(name)
        kind = type(part)
        if kind is str:
            if not part.isascii():
                _check_text(part)
        elif kind is not int or not -INTEGER_MAX <= part <= INTEGER_MAX:
            check_value(part, depth + 1)


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Invalid("text must be valid Unicode: it holds half of a surrogate pair") from error


def check_indexed(item: Item, indexes: Sequence[Index]) -> None:
    """An attribute that an index sorts by is text, or the item lacks it."""
    for index in indexes:
        for name in (index.hash_attribute, index.range_attribute):
            value = item.get(name, "absent")
            if type(value) is not str or not value:
                raise Invalid(f"the attribute {name!r} is sorted by the index {index.name!r}: text, or absent")


def check_key(key: Key, tables: Mapping[str, Any]) -> None:
    if key.table not in tables:
        raise Invalid(f"there is no table {key.table!r} in the inventory")
    for part in (key.pk, key.sk):
        if not part.isascii():
            _check_text(part)
        if not part or (len(part) > KEY_BYTES_MAX // 4 and len(part.encode()) > KEY_BYTES_MAX):
            raise Invalid(f"a key's parts have 1 to {KEY_BYTES_MAX} bytes each")


def check_keys(keys: Sequence[Key], tables: Mapping[str, Any]) -> None:
    """For reads and for writes: at most BATCH_ITEMS_MAX keys, none twice."""
    if len(keys) > BATCH_ITEMS_MAX:
        raise Invalid(f"{len(keys)} items in one call: {BATCH_ITEMS_MAX} at most")
    for key in keys:
        check_key(key, tables)
    if len(keys) > 1 and len(set(keys)) < len(keys):
        raise Invalid("the same key stands twice in one call")


def check_writes(writes: Sequence[TransactionPart], tables: Mapping[str, Any]) -> None:
    check_keys([write.key for write in writes], tables)
    for write in writes:
        match write:
            case Put():
                if "pk" in write.item or "sk" in write.item:
                    raise Invalid("an item to put comes without pk and sk: its key gives them")
                check_value(write.item)
            case Update():
                if not write.set and not write.remove:
                    raise Invalid("an update sets or removes something")
                _check_paths([*write.set, *write.remove])
                check_value(write.set)
            case Delete() | Check():
                pass


def _check_paths(paths: Iterable[str]) -> None:
    """No path twice, none inside another: DynamoDB refuses overlapping paths."""
    names = list(paths)
    seen = set(names)
    if len(seen) < len(names):
        raise Invalid("an update names the same path twice")
    if "pk" in seen or "sk" in seen:
        raise Invalid("an update cannot change an item's key")
    for path in names:
        if "/" in path:
            _check_nested(path, seen)
        elif not path:
            raise Invalid("'' is not a path: names with '/' between them")


def _check_nested(path: str, seen: set[str]) -> None:
    if path[0] == "/" or path[-1] == "/" or "//" in path:
        raise Invalid(f"{path!r} is not a path: names with '/' between them")
    cut = path.find("/")
    while cut >= 0:
        if path[:cut] in seen:
            raise Invalid(f"the paths {path[:cut]!r} and {path!r} overlap")
        cut = path.find("/", cut + 1)


def check_query(query: Query, tables: Mapping[str, Table]) -> None:
    if query.table not in tables:
        raise Invalid(f"there is no table {query.table!r} in the inventory")
    if query.index is not None and query.index not in {index.name for index in tables[query.table].indexes}:
        raise Invalid(f"the table {query.table!r} has no index {query.index!r}")
    if not 1 <= query.limit <= PAGE_ITEMS_MAX:
        raise Invalid(f"a page holds 1 to {PAGE_ITEMS_MAX} items")
    if not query.pk:
        raise Invalid("a query names a partition")
    _check_text(query.pk)
    _check_text(query.prefix)
    if query.cursor is not None and not query.cursor.isascii():
        raise BadCursor("the cursor is damaged: begin again without one")


def check_text_size(text: str, bytes_max: int, what: str) -> str | None:
    """The reason to refuse this text, or None."""
    if len(text) * 4 <= bytes_max or len(text.encode()) <= bytes_max:
        return None
    return f"{what} is over {bytes_max} bytes"


def item_size(value: Any) -> int:
    """Bytes of an item or a value as DynamoDB counts them: names and text in UTF-8, a number about half a
    byte a digit plus one, 3 for a list or map and 1 for each of its elements.
    """
    kind = type(value)
    if kind is str:
        return len(str(value).encode())
    if kind is int:
        return (len(str(abs(value)).strip("0")) + 1) // 2 + 1 + int(value < 0)
    if kind is dict:
        return 3 + sum(len(name.encode()) + 1 + item_size(part) for name, part in value.items())
    if kind in (list, tuple):
        return 3 + sum(1 + item_size(part) for part in value)
    if kind is bytes:
        return len(bytes(value))
    return 1


def check_item_size(item: Item, *, encoded_bytes: int) -> None:
    """`encoded_bytes`: the msgpack length, which saves the exact count for all but large items."""
    if encoded_bytes * 4 <= ITEM_BYTES_MAX:
        return
    size = item_size(item) - 3 - len(item)  # an item itself carries no map overhead
    if size > ITEM_BYTES_MAX:
        raise TooLarge(f"the item {item['pk']} / {item['sk']} would have {size} bytes: {ITEM_BYTES_MAX} at most")
