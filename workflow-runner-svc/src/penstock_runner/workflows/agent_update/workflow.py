"""The workflow agent_update: from an agent package and a change request to the changed package, tested again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from penstock_runner.authoring import Stage, StageContext, Workflow
from penstock_runner.workflows.agent_update.assembly import assemble
from penstock_runner.workflows.agent_update.changes import (
    DIFFERENCE,
    DOCUMENT,
    changes_between,
    difference,
    document,
)
from penstock_runner.workflows.agent_update.documents import Area, ChangeSet, CodeUpdate, UpdateOrder
from penstock_runner.workflows.agent_update.parts import CODE, PARTS, PLAN, PROMPTS, REQUIREMENTS, TOOLS
from penstock_runner.workflows.agent_update.source_package import facts_of_update
from penstock_runner.workflows.building.delivery import deliver, leaving
from penstock_runner.workflows.building.documents import Deployment, Document
from penstock_runner.workflows.building.drafting import Workshop, drafted_stage, drafting, model_stage
from penstock_runner.workflows.building.model import Check, Part
from penstock_runner.workflows.building.packaging import Package
from penstock_runner.workflows.building.proving import faults_in_package, inspected, tested

NAME = "agent_update"
VERSION = "1"
STAGES = tuple(part.stage for part in PARTS)

Output = TypeVar("Output", bound=Document)
Changes = TypeVar("Changes", bound=ChangeSet)


class AgentUpdate:
    """What its stages share: the workshop, and the package as far as it is changed."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._draft_code = drafting(CODE, PARTS, shop, proof=self._proof)

    def workflow(self) -> Workflow:
        shop = self._shop
        return Workflow(
            NAME,
            VERSION,
            (
                drafted_stage(PLAN, PARTS, shop, self._facts),
                drafted_stage(REQUIREMENTS, PARTS, shop),
                self._optional(TOOLS, "tools"),
                self._optional(PROMPTS, "prompts"),
                model_stage(CODE, self.finish, Deployment, shop),
            ),
            input=UpdateOrder,
        )

    async def finish(self, context: StageContext) -> Deployment:
        """Drafts the last change set, proves the whole package, and delivers it with what has changed."""
        package = _package(context, await self._draft_code(context))
        await inspected(package)
        tests = await tested(package.files, self._shop.workbench)
        plan, update = _of(context, PLAN), _of(context, REQUIREMENTS)
        changes = await asyncio.to_thread(changes_between, plan.base, package.files)
        more = {DOCUMENT: document(plan, update, changes), DIFFERENCE: difference(changes)}
        return await deliver(context, package, tests, len(STAGES) - 1, more)

    async def _facts(self, context: StageContext) -> Mapping[str, Any]:
        return await facts_of_update(context, self._shop.model.provenance)

    def _optional(self, part: Part[Changes], area: Area) -> Stage:
        """Nobody is asked where the plan says that the area stays as it is."""
        draft = drafting(part, PARTS, self._shop)

        async def change(context: StageContext) -> Changes:
            return await draft(context) if area in _of(context, PLAN).touches else part.output()

        return model_stage(part, leaving(change), part.output, self._shop)

    def _proof(self, context: StageContext) -> Check:
        async def check(drafted: Document) -> list[str]:
            assert isinstance(drafted, CodeUpdate)
            return await faults_in_package(_package(context, drafted), self._shop.workbench)

        return check


def build_agent_update(shop: Workshop) -> Workflow:
    return AgentUpdate(shop).workflow()


def _package(context: StageContext, code: CodeUpdate) -> Package:
    sets: Sequence[ChangeSet] = (_of(context, TOOLS), _of(context, PROMPTS), code)
    return assemble(_of(context, PLAN), _of(context, REQUIREMENTS), sets, STAGES)


def _of(context: StageContext, part: Part[Output]) -> Output:
    return context.output_of(part.stage, part.output)
