"""The workflow agent_build: from a requirement to a tested agent package."""

from __future__ import annotations

from penstock_runner.authoring import Stage, Workflow
from penstock_runner.workflows.agent_build.documents import AgentCode, ToolSet
from penstock_runner.workflows.agent_build.parts import PARTS
from penstock_runner.workflows.agent_build.stages import DEPLOYER, DEVELOPER_MANAGER, Closing
from penstock_runner.workflows.building.delivery import leaving
from penstock_runner.workflows.building.documents import AssemblyReport, Deployment
from penstock_runner.workflows.building.drafting import Workshop, drafted_stages

NAME = "agent_build"
VERSION = "1"


def build_agent_build(shop: Workshop) -> Workflow:
    closing = Closing(shop)
    return Workflow(
        NAME,
        VERSION,
        (
            *drafted_stages(PARTS, shop, {ToolSet: closing.proof_of_tools, AgentCode: closing.proof_of_agent}),
            Stage(DEVELOPER_MANAGER, leaving(closing.manage), AssemblyReport, "Assemble and inspect"),
            Stage(DEPLOYER, closing.deploy, Deployment, "Test and package"),
        ),
    )
