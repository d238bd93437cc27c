"""How the suite is spread over processes: what shares something costly stays together, what takes long comes first, and
one process begins with what never waits, because the others often wait for processes that they have started."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable
from typing import Any

import pytest

FIRST = ("tests/contract ministack", "tests/contract moto", "tests/e2e")
"""What waits or works longest. The small worlds of the simulation come last: they end together."""
LAST = "tests/simulation"
ALONE = ("tests/simulation",)
"""Its tests share nothing."""
TOGETHER = ("tests/aws", "tests/infra")
"""One emulator, one run of Pulumi's program."""
ENGINE = re.compile(r"\[(embedded|memory|ministack|moto)[-\]]")
COMPUTES = "gw0"
"""The process that begins with the simulation. It fills what the others leave of the cores."""


def unit_of(test: str) -> str:
    """What one process runs of the suite in one go: usually a file."""
    folder = "/".join(test.split("/")[:2])
    engine = ENGINE.search(test)
    if folder == "tests/contract" and engine:
        return f"{folder} {engine[1]}"
    if folder in ALONE:
        return test
    return folder if folder in TOGETHER else test.split("::", 1)[0]


def place_of(test: str) -> int:
    unit = unit_of(test)
    firsts = (place for place, name in enumerate(FIRST) if unit.startswith(name))
    return next(firsts, len(FIRST) + unit.startswith(LAST))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: place_of(item.nodeid))


def next_unit(units: Iterable[str], process: str) -> str:
    """Of those that are left, in their order."""
    left = list(units)
    computing = (unit for unit in left if unit.startswith(LAST))
    return next(computing, left[0]) if process == COMPUTES else left[0]


def pytest_collection_finish() -> None:
    """Half a million objects of libraries and collected tests are never garbage: no search for cycles needs to see them."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    # Here, because the plugin may be off; and it does not tell its types.
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # noqa: PLC0415

    class Units(LoadScopeScheduling):  # type: ignore[misc]  # a class without types
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            self.workqueue.move_to_end(next_unit(self.workqueue, node.gateway.id), last=False)
            super()._assign_work_unit(node)

    config.option.loadscopereorder = False
    return Units(config, log)
