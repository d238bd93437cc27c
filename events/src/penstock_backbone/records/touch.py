"""A change of an item that says nothing new: its stream tells of the item once more."""

from __future__ import annotations

from penstock_backbone.vocabulary import Key, Update


def touch(key: Key, *, at: int) -> Update:
    """Operators, after a record of the item was given up. Harmless when it is repeated; refused where no item is."""
    return Update(key, {"touched": at})
