"""The workflow agent_build: from a requirement to a tested agent package."""

from __future__ import annotations

from penstock_backbone.ports import Clock
from penstock_runner.authoring import Stage, Workflow
from penstock_runner.workflows.agent_build.documents import AssemblyReport, Deployment
from penstock_runner.workflows.agent_build.model import DraftingModel
from penstock_runner.workflows.agent_build.stages import (
    DEPLOYER,
    DEVELOPER_MANAGER,
    DRAFTED,
    deploying,
    drafting,
    managing,
)
from penstock_runner.workflows.agent_build.workbench import Workbench

NAME = "agent_build"
VERSION = "1"

TITLES = {
    "orchestrator": "Plan the project",
    "requirements_analysis": "Analyse the requirement",
    "system_architecture": "Design the architecture",
    "agent_design": "Design the agent",
    "tools_developer": "Develop the tools",
    "prompt_engineer": "Write the prompts",
    "agent_code_developer": "Write the agent's code",
    DEVELOPER_MANAGER: "Assemble and inspect",
    DEPLOYER: "Test and package",
}


def build_agent_build(
    model: DraftingModel, workbench: Workbench, clock: Clock, pace_seconds: float, resources: tuple[str, ...] = ()
) -> Workflow:
    """`pace_seconds` is waited before each stage but the last, so that people can watch a drafter that is too fast.
    `resources` are what the drafting stages use."""
    return Workflow(
        NAME,
        VERSION,
        (
            *(
                Stage(stage, drafting(stage, model, clock, pace_seconds), output, TITLES[stage], resources=resources)
                for stage, output in DRAFTED.items()
            ),
            Stage(DEVELOPER_MANAGER, managing(clock, pace_seconds), AssemblyReport, TITLES[DEVELOPER_MANAGER]),
            Stage(DEPLOYER, deploying(workbench), Deployment, TITLES[DEPLOYER]),
        ),
    )
