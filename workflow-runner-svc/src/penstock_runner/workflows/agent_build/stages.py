"""The two stages of agent_build that ask no model: one assembles and inspects the package, one proves and delivers it."""

from __future__ import annotations

from typing import TypeVar

from penstock_runner.authoring import StageContext
from penstock_runner.workflows.agent_build.assembly import Drafts, assemble
from penstock_runner.workflows.agent_build.documents import (
    AgentCode,
    AgentDesign,
    PromptSet,
    RequirementsAnalysis,
    SystemArchitecture,
    ToolSet,
)
from penstock_runner.workflows.agent_build.parts import PARTS
from penstock_runner.workflows.building.delivery import deliver
from penstock_runner.workflows.building.documents import AssemblyReport, Deployment, Document, ProjectPlan
from penstock_runner.workflows.building.drafting import Workshop, project_of
from penstock_runner.workflows.building.packaging import Package
from penstock_runner.workflows.building.proving import inspected, tested

DEVELOPER_MANAGER = "agent_developer_manager"
DEPLOYER = "agent_deployer"
STAGES = (*(part.stage for part in PARTS), DEVELOPER_MANAGER, DEPLOYER)

Earlier = TypeVar("Earlier", bound=Document)


class Closing:
    """The last two stages, on one workshop."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    async def manage(self, context: StageContext) -> AssemblyReport:
        await self._shop.pace()
        package = _assembled(context)
        report = await inspected(package)
        context.log.info("assembled %s with %d files", package.manifest.name, len(package.files))
        return report

    async def deploy(self, context: StageContext) -> Deployment:
        package = _assembled(context)
        tests = await tested(package.files, self._shop.workbench)
        documents: dict[str, Document] = {part.stage: context.output_of(part.stage, part.output) for part in PARTS}
        documents[DEVELOPER_MANAGER] = context.output_of(DEVELOPER_MANAGER, AssemblyReport)
        return await deliver(context, package, tests, documents)


def _assembled(context: StageContext) -> Package:
    def of(kind: type[Earlier]) -> Earlier:
        return context.output_of(next(part.stage for part in PARTS if part.output is kind), kind)

    files = (*of(ToolSet).files, *of(PromptSet).files, *of(AgentCode).files)
    drafts = Drafts(
        project_of(context), of(ProjectPlan), of(RequirementsAnalysis), of(SystemArchitecture), of(AgentDesign), files
    )
    return assemble(drafts, STAGES)
