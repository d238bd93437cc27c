"""The five stages of agent_update, each of which asks a model, in order."""

from __future__ import annotations

from typing import Any

from penstock_runner.workflows.agent_update.documents import (
    CodeUpdate,
    PromptUpdate,
    RequirementsUpdate,
    ToolUpdate,
    UpdatePlan,
)
from penstock_runner.workflows.agent_update.drafter import rewriting
from penstock_runner.workflows.building.model import Part

_HOME = "penstock_runner.workflows.agent_update"

PLAN = Part("update_orchestrator", "Read the package, plan the change", UpdatePlan, _HOME, rewriting.plan)
REQUIREMENTS = Part("requirements_update", "Analyse the change", RequirementsUpdate, _HOME, rewriting.requirements)
TOOLS = Part("tool_update", "Change the tools", ToolUpdate, _HOME, rewriting.tools, ("{}/tools/", "tests/test_"))
PROMPTS = Part("prompt_update", "Change the prompts", PromptUpdate, _HOME, rewriting.prompts, ("{}/prompts/",))
CODE = Part(
    "code_update", "Change the code, test and package", CodeUpdate, _HOME, rewriting.code,
    ("{}/", "tests/test_", "README.md"),
)  # fmt: skip
PARTS: tuple[Part[Any], ...] = (PLAN, REQUIREMENTS, TOOLS, PROMPTS, CODE)
