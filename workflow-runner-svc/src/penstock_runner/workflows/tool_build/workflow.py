"""The workflow tool_build: from a requirement to a tested tool with a description for function calling."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from penstock_runner.authoring import Stage, StageContext, Workflow
from penstock_runner.workflows.building.delivery import deliver, leaving
from penstock_runner.workflows.building.documents import Deployment, Document, ProjectPlan, SourceFile
from penstock_runner.workflows.building.drafting import (
    Workshop,
    drafted_stage,
    drafted_stages,
    drafting,
    model_stage,
    project_of,
)
from penstock_runner.workflows.building.inspection import CHECKED, inspect_files
from penstock_runner.workflows.building.model import Check, Part
from penstock_runner.workflows.building.proving import faults_in_proof, inspected, refuse, tested
from penstock_runner.workflows.tool_build.assembly import Drafts, assemble, missing, sources
from penstock_runner.workflows.tool_build.documents import ToolCode, Validation
from penstock_runner.workflows.tool_build.parts import ANALYSIS, CODE, DESIGN, PARTS, PLAN, README

NAME = "tool_build"
VERSION = "1"
VALIDATOR = "tool_validator"
STAGES = (*(part.stage for part in PARTS[:-1]), VALIDATOR, README.stage)

Output = TypeVar("Output", bound=Document)


class ToolBuild:
    """What its stages share: the workshop, and the files so far."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._document = drafting(README, PARTS, shop)

    def workflow(self) -> Workflow:
        shop = self._shop
        return Workflow(
            NAME,
            VERSION,
            (
                *drafted_stages(PARTS[:3], shop),
                drafted_stage(CODE, PARTS, shop, proof=self._proof),
                Stage(VALIDATOR, leaving(self.validate), Validation, "Validate the tool"),
                model_stage(README, self.document, Deployment, shop),
            ),
        )

    async def validate(self, context: StageContext) -> Validation:
        await self._shop.pace()
        drafts = _drafts(context)
        files = sources(drafts, _of(context, CODE).files)
        found = await asyncio.to_thread(inspect_files, files)
        refuse(found.problems or tuple(missing(drafts, files)))
        return Validation(
            checks=(*CHECKED[:-1], "every function of the design is offered"),
            notes=found.notes,
            tests=await tested(files, self._shop.workbench),
        )

    async def document(self, context: StageContext) -> Deployment:
        """Drafts the README, and delivers what was validated together with it."""
        readme = await self._document(context)
        drafts = _drafts(context)
        files = (*sources(drafts, _of(context, CODE).files), *readme.files)
        package = assemble(drafts, files, STAGES)
        await inspected(package)
        validation = context.output_of(VALIDATOR, Validation)
        return await deliver(context, package, validation.tests, len(STAGES) - 1)

    def _proof(self, context: StageContext) -> Check:
        async def check(document: Document) -> list[str]:
            assert isinstance(document, ToolCode)
            drafts = _drafts(context)
            files: tuple[SourceFile, ...] = sources(drafts, document.files)
            return [*missing(drafts, files)] or await faults_in_proof(files, self._shop.workbench)

        return check


def build_tool_build(shop: Workshop) -> Workflow:
    return ToolBuild(shop).workflow()


def _drafts(context: StageContext) -> Drafts:
    plan: ProjectPlan = _of(context, PLAN)
    return Drafts(project_of(context), plan, _of(context, ANALYSIS), _of(context, DESIGN))


def _of(context: StageContext, part: Part[Output]) -> Output:
    return context.output_of(part.stage, part.output)
