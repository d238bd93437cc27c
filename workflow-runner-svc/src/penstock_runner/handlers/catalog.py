"""Tells the API which workflows this runner can execute, so that it refuses the others at the door."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from penstock_backbone.errors import Retryable
from penstock_backbone.records.sessions import announce_workflow
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Unsettled, Write
from penstock_runner.domain.given import input_schema
from penstock_runner.domain.plan import Plan
from penstock_runner.handlers.patience import pause
from penstock_runner.ports import World

_log = logging.getLogger(__name__)


async def announce(world: World, plans: Sequence[Plan]) -> None:
    """Repeated until all of it is known to be written: what nobody announced, nobody can ask for."""
    at = to_ms(world.clock.now())
    waiting: list[Write] = [_announcement(plan, at) for plan in plans]
    failures = 0
    while waiting:
        batch, later = waiting[:BATCH_ITEMS_MAX], waiting[BATCH_ITEMS_MAX:]
        try:
            outcomes = await world.tables.write(batch)
        except Retryable as error:
            _log.warning("The workflows could not be announced yet: %s", error)
            unsettled = batch
        else:
            unsettled = [
                write for write, outcome in zip(batch, outcomes, strict=True) if isinstance(outcome, Unsettled)
            ]
        waiting = unsettled + later
        if unsettled:
            failures += 1
            await pause(world, failures)


def _announcement(plan: Plan, at: int) -> Write:
    workflow = plan.workflow
    stages = [{"name": stage.name, "title": stage.title or _title(stage.name)} for stage in workflow.stages]
    schema = input_schema(workflow)
    if schema is None and workflow.input is not None:
        _log.warning("The input of the workflow %s cannot be announced: only its runs will look at it.", workflow.name)
    return announce_workflow(
        workflow.name,
        version=workflow.version,
        stages=stages,
        resources=plan.resources(),
        input_schema=schema,
        at=at,
    )


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
