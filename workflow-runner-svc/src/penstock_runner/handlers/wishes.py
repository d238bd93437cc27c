"""Looks what others have asked of the runs here: a stage that works for an hour writes nothing meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_backbone.records.runs import RUNNING, as_run, run_key
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX
from penstock_runner.handlers.execution import Execution
from penstock_runner.ports import World

LOOK_SECONDS = 2.0


class Wishes:
    def __init__(self, world: World, executions: Mapping[tuple[str, int], Execution]) -> None:
        self._world = world
        self._executions = executions

    async def turn(self) -> float:
        """One look at all of them. Returns the seconds until the next."""
        keys = list(self._executions)
        for start in range(0, len(keys), BATCH_ITEMS_MAX):
            batch = keys[start : start + BATCH_ITEMS_MAX]
            items = await self._world.tables.get([run_key(run) for run in dict.fromkeys(run for run, _ in batch)])
            found = {item["pk"]: item for item in items if item is not None}
            for run, fence in batch:
                item = found.get(run, {})
                execution = self._executions.get((run, fence))
                if execution and item.get("state") == RUNNING and item["fence"] == fence:
                    execution.look(as_run(item))
        return LOOK_SECONDS
