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
from penstock_runner.workflows.building.documents import AssemblyReport, Deployment, Document, ProjectPlan, SourceFile
from penstock_runner.workflows.building.drafting import Workshop, project_of
from penstock_runner.workflows.building.model import Check
from penstock_runner.workflows.building.packaging import VERSION_FIRST, Package, project_file
from penstock_runner.workflows.building.proving import faults_in_package, faults_in_proof, inspected, tested

DEVELOPER_MANAGER = "agent_developer_manager"
DEPLOYER = "agent_deployer"
STAGES = (*(part.stage for part in PARTS), DEVELOPER_MANAGER, DEPLOYER)

Earlier = TypeVar("Earlier", bound=Document)


class Closing:
    """The last two stages, on one workshop, and the proof of what a service drafts before: there it can be mended."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    async def manage(self, context: StageContext) -> AssemblyReport:
        await self._shop.pace()
        package = _assembled(context, _of(context, AgentCode))
        report = await inspected(package)
        context.log.info("assembled %s with %d files", package.manifest.name, len(package.files))
        return report

    async def deploy(self, context: StageContext) -> Deployment:
        package = _assembled(context, _of(context, AgentCode))
        tests = await tested(package.files, self._shop.workbench)
        return await deliver(context, package, tests, len(STAGES) - 1)

    def proof_of_tools(self, context: StageContext) -> Check:
        """They and their tests must work without the agent, which is not there yet."""

        async def check(drafted: Document) -> list[str]:
            assert isinstance(drafted, ToolSet)
            plan = _of(context, ProjectPlan)
            paths = [file.path for file in drafted.files]
            around = (project_file(plan, VERSION_FIRST, paths), SourceFile(path=f"{plan.package}/__init__.py", text=""))
            files = (*drafted.files, *(file for file in around if file.path not in paths))
            return await faults_in_proof(files, self._shop.workbench)

        return check

    def proof_of_agent(self, context: StageContext) -> Check:
        async def check(drafted: Document) -> list[str]:
            assert isinstance(drafted, AgentCode)
            return await faults_in_package(_assembled(context, drafted), self._shop.workbench)

        return check


def _of(context: StageContext, kind: type[Earlier]) -> Earlier:
    return context.output_of(next(part.stage for part in PARTS if part.output is kind), kind)


def _assembled(context: StageContext, code: AgentCode) -> Package:
    files = (*_of(context, ToolSet).files, *_of(context, PromptSet).files, *code.files)
    plan, analysis = _of(context, ProjectPlan), _of(context, RequirementsAnalysis)
    architecture, design = _of(context, SystemArchitecture), _of(context, AgentDesign)
    return assemble(Drafts(project_of(context), plan, analysis, architecture, design, files), STAGES)
