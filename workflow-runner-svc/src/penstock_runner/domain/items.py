"""The items of a stage that runs once for each of a list: their names, and how their outputs become the stage's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock_runner.authoring import FinalError, Stage
from penstock_runner.domain.mistakes import ITEMS_MAX


def item_name(stage: str, index: int) -> str:
    """Where its result stands among the run's results: no stage can have such a name."""
    return f"{stage}.{index}"


def items_of(stage: Stage, source: Stage, output: bytes) -> Sequence[Any]:
    """The list that `stage` runs through, from the JSON text of `source`. Raises FinalError when it is too long."""
    assert stage.each is not None
    field = stage.each.partition(".")[2]
    items: Sequence[Any] = getattr(source.output.model_validate_json(output), field)
    if len(items) > ITEMS_MAX:
        raise FinalError(f"{stage.each} has {len(items)} items, and {ITEMS_MAX} are possible: make groups of them")
    return items


def joined(outputs: Iterable[bytes]) -> bytes:
    """The stage's output: a JSON array."""
    return b"[" + b",".join(outputs) + b"]"


def summed(usages: Iterable[Mapping[str, int] | None]) -> dict[str, int] | None:
    """None: nothing was measured."""
    total: dict[str, int] | None = None
    for usage in usages:
        if usage is not None:
            total = total or {}
            for name, amount in usage.items():
                total[name] = total.get(name, 0) + amount
    return total
