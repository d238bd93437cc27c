"""One upcaster per version step: an old event is read as if it had been written today.

UPCASTERS[("StageFailed", 1)] turns version 1 of StageFailed into version 2. Every fact is at version 1 so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock_events.facts import FACTS

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}


def upcast(
    fact_type: str, version: int, data: dict[str, Any], steps: Mapping[tuple[str, int], Upcaster] = UPCASTERS
) -> dict[str, Any]:
    """`data` in the shape of the newest version; every step between must exist."""
    newest = max([FACTS[fact_type].version, *(step + 1 for kind, step in steps if kind == fact_type)])
    for step in range(version, newest):
        data = steps[fact_type, step](data)
    return data
