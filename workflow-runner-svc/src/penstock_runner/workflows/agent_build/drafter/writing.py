"""Writes the files of a package: its tools, prompts, code, tests and README."""

from __future__ import annotations

import shlex

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.agent_build.documents import (
    AgentCode,
    AgentDesign,
    PromptSet,
    RequirementsAnalysis,
    ToolSet,
)
from penstock_runner.workflows.building.documents import ProjectPlan, SourceFile
from penstock_runner.workflows.building.drafter.asked import fits
from penstock_runner.workflows.building.drafter.library.agent import route
from penstock_runner.workflows.building.drafter.library.tools import TOOLS
from penstock_runner.workflows.building.drafter.markdown import in_markdown, quoted
from penstock_runner.workflows.building.drafter.readme import Contents, written
from penstock_runner.workflows.building.drafter.sources import literal, registry, source, tool_files
from penstock_runner.workflows.building.drafter.wording import wording

SAID_MAX = 6


def tools(planned: ProjectPlan, designed: AgentDesign) -> ToolSet:
    names = [tool.name for tool in designed.tools]
    folder = f"{planned.package}/tools"
    files = (
        SourceFile(path=f"{folder}/__init__.py", text=registry(names)),
        *tool_files(names, planned.package, folder),
    )
    return ToolSet(files=files)


def prompts(project: ProjectInput, planned: ProjectPlan, designed: AgentDesign) -> PromptSet:
    phrases = wording(planned.language)
    lines = [
        f"# {in_markdown(planned.title)}", "", in_markdown(designed.role), "",
        f"## {phrases.asked}", "", quoted(project.requirement), "",
        f"## {phrases.tools}", "", *(f"- `{tool.name}`: {tool.title}" for tool in designed.tools), "",
        f"## {phrases.rules}", "", *(f"- {rule}" for rule in designed.rules), "",
    ]  # fmt: skip
    return PromptSet(files=(SourceFile(path=f"{planned.package}/prompts/system.md", text="\n".join(lines)),))


def code(
    project: ProjectInput, planned: ProjectPlan, analysed: RequirementsAnalysis, designed: AgentDesign
) -> AgentCode:
    package = planned.package
    return AgentCode(
        files=(
            *(
                SourceFile(path=f"{package}/{name}", text=source(name, package))
                for name in ("__init__.py", "__main__.py", "agent.py")
            ),
            SourceFile(path="tests/test_agent.py", text=agent_tests(planned, analysed, designed)),
            SourceFile(path="README.md", text=readme(project, planned, analysed, designed)),
        )
    )


def agent_tests(planned: ProjectPlan, analysed: RequirementsAnalysis, designed: AgentDesign) -> str:
    """The template, with the sentences of the requirement and the tool that each must reach.

    The tool is found by the very function that the agent will use, over the same words.
    """
    words = {tool.name: tuple(TOOLS[tool.name].WORDS) for tool in designed.tools}
    said = "\n    ".join(
        f'("{point.id}", {literal(point.text)}, "{route(point.text, words)}"),'
        for point in analysed.requirements[:SAID_MAX]
    )
    template = source("test_agent.py.template", planned.package)
    head, _, tail = template.partition("    SAID\n")
    head = head.replace("PACKAGE", planned.package).replace('"SHA256"', f'"{planned.requirement_sha256}"')
    return f"{head}    {said}\n{tail}"


def readme(project: ProjectInput, planned: ProjectPlan, analysed: RequirementsAnalysis, designed: AgentDesign) -> str:
    return written(
        Contents(
            project=project,
            plan=planned,
            offers=tuple((tool.name, tool.title) for tool in designed.tools),
            not_covered=analysed.not_covered,
            commands=tuple(f"python -m {planned.package} {shlex.quote(tool.example)}" for tool in designed.tools),
            points=tuple(point.text for point in analysed.requirements if fits(analysed.not_covered)),
            hint=wording(planned.language).model,
        )
    )
