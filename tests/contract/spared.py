"""What generated programs leave out on an emulator: the steps in which one of its known differences would show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.contract.contract_inventory import BY_OWNER, THINGS

from penstock_backbone.errors import Invalid
from penstock_backbone.local.conditions import holds, identical, updated
from penstock_backbone.vocabulary import (
    And,
    Condition,
    Equals,
    Exists,
    Greater,
    Item,
    Less,
    Missing,
    Or,
    Put,
    TransactionPart,
    Update,
)

Shows: TypeAlias = Callable[[str, TransactionPart, Item | None], bool]

ABSENT: Any = object()


@dataclass(frozen=True)
class Spare:
    """`shows`: whether it would in a step of this name, in this part of it, where this item stands. `repros`: the tests
    that show it. `in_streams`: only what the stream tells is wrong."""

    reason: str
    shows: Shows
    repros: tuple[str, ...]
    in_streams: bool = False


def leads_nowhere(part: TransactionPart, item: Item | None) -> bool:
    """An update has a path through an attribute that is no map of the item."""
    return isinstance(part, Update) and any(_through_no_map(path, item) for path in (*part.set, *part.remove))


def _removes_nowhere(part: TransactionPart, item: Item | None) -> bool:
    return isinstance(part, Update) and any(_through_no_map(path, item) for path in part.remove)


def _through_no_map(path: str, item: Item | None) -> bool:
    return item is not None and "/" in path and type(item.get(path.partition("/")[0])) is not dict


def _leaves(condition: Condition | None) -> Iterator[Equals | Less | Greater | Exists | Missing]:
    match condition:
        case None:
            pass
        case And(all=parts) | Or(any=parts):
            for part in parts:
                yield from _leaves(part)
        case _:
            yield condition


def _compared(part: TransactionPart, item: Item | None) -> Iterator[tuple[Condition, Any]]:
    """Each comparison of its condition, and what stands there."""
    for leaf in _leaves(part.when):
        if isinstance(leaf, Equals | Less | Greater):
            found: Any = item or {}
            for name in leaf.path.split("/"):
                found = found.get(name, ABSENT) if isinstance(found, dict) else ABSENT
            yield leaf, found


def _null_for_nothing(_name: str, part: TransactionPart, item: Item | None) -> bool:
    return any(
        isinstance(leaf, Equals) and leaf.value is None and found is ABSENT for leaf, found in _compared(part, item)
    )


def _true_for_one(_name: str, part: TransactionPart, item: Item | None) -> bool:
    return any(
        isinstance(leaf, Equals) and found == leaf.value and not identical(found, leaf.value)
        for leaf, found in _compared(part, item)
    )


def _other_types(_name: str, part: TransactionPart, item: Item | None) -> bool:
    return any(
        isinstance(leaf, Less | Greater) and found is not ABSENT and type(found) is not type(leaf.value)
        for leaf, found in _compared(part, item)
    )


def _no_text_in_an_index(_name: str, part: TransactionPart, _item: Item | None) -> bool:
    if not isinstance(part, Put) or part.key.table != THINGS:
        return False
    owner = part.item.get(BY_OWNER.hash_attribute, "absent")
    return not owner or not isinstance(owner, str)


def _is_permitted(part: TransactionPart, item: Item | None) -> bool:
    return holds(part.when, item) and not (isinstance(part, Update) and item is None)


def _changes_nothing(_name: str, part: TransactionPart, item: Item | None) -> bool:
    if item is None or not _is_permitted(part, item):
        return False
    if isinstance(part, Put):
        return identical(item, {"pk": part.key.pk, "sk": part.key.sk, **part.item})
    try:
        return isinstance(part, Update) and identical(item, updated(item, part))
    except Invalid:
        return False


def _is_cancelled(name: str, part: TransactionPart, item: Item | None) -> bool:
    return name == "transact" and not _is_permitted(part, item)


_MINISTACK = (
    Spare(
        "In a transaction an update through what is no map does nothing.",
        lambda name, part, item: name == "transact" and leads_nowhere(part, item),
        ("test_an_update_through_what_is_no_map_stops_its_transaction",),
    ),
    Spare(
        "Removing through what is no map is no error.",
        lambda _name, part, item: _removes_nowhere(part, item),
        ("test_removing_through_what_is_no_map_is_refused",),
    ),
)

_MOTO = (
    Spare(
        "An update through what is no map is no error, or it breaks.",
        lambda _name, part, item: leads_nowhere(part, item),
        (
            "test_a_path_through_what_is_no_map_is_refused_and_changes_nothing",
            "test_an_update_through_what_is_no_map_stops_its_transaction",
            "test_removing_through_what_is_no_map_is_refused",
        ),
    ),
    Spare(
        "What is not there equals null.",
        _null_for_nothing,
        ("test_a_condition_on_nothing",),
    ),
    Spare(
        "True equals 1 and False equals 0.",
        _true_for_one,
        ("test_a_false_condition_refuses_it_with_what_stands_there",),
    ),
    Spare(
        "Values of different types are compared, or it breaks.",
        _other_types,
        ("test_a_false_condition_refuses_it_with_what_stands_there",),
    ),
    Spare(
        "An indexed attribute may have any type.",
        _no_text_in_an_index,
        ("test_an_indexed_attribute_is_text_or_absent",),
    ),
    Spare(
        "A write that changes nothing is told on the stream.",
        _changes_nothing,
        ("test_what_changed_nothing_leaves_no_record", "test_what_a_program_writes_again_unchanged_is_not_told"),
        in_streams=True,
    ),
    Spare(
        "What a cancelled transaction did before its false condition stays on the stream, and its readers hear no more.",
        _is_cancelled,
        ("test_a_program_of_everything_is_told_as_the_memory_engine_tells_it",),
        in_streams=True,
    ),
)

SPARED: Mapping[str, Sequence[Spare]] = {"none": (), "ministack": _MINISTACK, "moto": _MOTO}
