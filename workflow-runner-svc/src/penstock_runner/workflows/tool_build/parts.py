"""The five stages of tool_build in which a model drafts, in order."""

from __future__ import annotations

from typing import Any

from penstock_runner.workflows.building.documents import ProjectPlan
from penstock_runner.workflows.building.model import Part
from penstock_runner.workflows.tool_build.documents import ToolCode, ToolDesign, ToolReadme, ToolRequirements
from penstock_runner.workflows.tool_build.drafter import writing

_HOME = "penstock_runner.workflows.tool_build"

PLAN = Part("orchestrator", "Plan the tool", ProjectPlan, _HOME, writing.plan)
ANALYSIS = Part("requirements_analyzer", "Analyse the requirement", ToolRequirements, _HOME, writing.requirements)
DESIGN = Part("tool_designer", "Design the tool", ToolDesign, _HOME, writing.design)
CODE = Part("tool_developer", "Develop the tool", ToolCode, _HOME, writing.code, ("{}/", "tests/test_"))
README = Part("tool_documenter", "Document and package", ToolReadme, _HOME, writing.readme, ("README.md",))
PARTS: tuple[Part[Any], ...] = (PLAN, ANALYSIS, DESIGN, CODE, README)
