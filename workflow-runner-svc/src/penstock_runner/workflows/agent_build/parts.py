"""The seven stages of agent_build in which a model drafts, in order."""

from __future__ import annotations

from typing import Any

from penstock_runner.workflows.agent_build.documents import (
    AgentCode,
    AgentDesign,
    PromptSet,
    RequirementsAnalysis,
    SystemArchitecture,
    ToolSet,
)
from penstock_runner.workflows.agent_build.drafter import analysis, writing
from penstock_runner.workflows.building.documents import Document, ProjectPlan
from penstock_runner.workflows.building.drafter import asked
from penstock_runner.workflows.building.model import Assignment, Part

_HOME = "penstock_runner.workflows.agent_build"


def _analysis(given: Assignment[Any]) -> Document:
    return analysis.requirements(given.project, given.document(ProjectPlan))


def _architecture(given: Assignment[Any]) -> Document:
    return analysis.architecture(given.document(ProjectPlan), given.document(RequirementsAnalysis))


def _design(given: Assignment[Any]) -> Document:
    return analysis.design(given.document(ProjectPlan), given.document(RequirementsAnalysis))


def _tools(given: Assignment[Any]) -> Document:
    return writing.tools(given.document(ProjectPlan), given.document(AgentDesign))


def _prompts(given: Assignment[Any]) -> Document:
    return writing.prompts(given.project, given.document(ProjectPlan), given.document(AgentDesign))


def _code(given: Assignment[Any]) -> Document:
    return writing.code(
        given.project,
        given.document(ProjectPlan),
        given.document(RequirementsAnalysis),
        given.document(AgentDesign),
    )


PARTS: tuple[Part[Any], ...] = (
    Part("orchestrator", "Plan the project", ProjectPlan, _HOME, asked.plan),
    Part("requirements_analysis", "Analyse the requirement", RequirementsAnalysis, _HOME, _analysis),
    Part("system_architecture", "Design the architecture", SystemArchitecture, _HOME, _architecture),
    Part("agent_design", "Design the agent", AgentDesign, _HOME, _design),
    Part("tools_developer", "Develop the tools", ToolSet, _HOME, _tools, ("{}/tools/", "tests/test_")),
    Part("prompt_engineer", "Write the prompts", PromptSet, _HOME, _prompts, ("{}/prompts/",)),
    Part(
        "agent_code_developer", "Write the agent's code", AgentCode, _HOME, _code, ("{}/", "tests/test_", "README.md")
    ),
)
