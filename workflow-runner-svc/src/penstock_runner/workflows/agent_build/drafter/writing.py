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
from penstock_runner.workflows.building.drafter.library.agent import route
from penstock_runner.workflows.building.drafter.library.tools import TOOLS
from penstock_runner.workflows.building.drafter.markdown import in_markdown, quoted
from penstock_runner.workflows.building.drafter.sources import literal, registry, source
from penstock_runner.workflows.building.drafter.wording import wording

SAID_MAX = 6
# Tools that call others need their sources too.
_NEEDS = {"key_points": ("summary",), "draft_writer": ("keywords",)}


def tools(planned: ProjectPlan, designed: AgentDesign) -> ToolSet:
    names = [tool.name for tool in designed.tools]
    needed = dict.fromkeys(["text", "desk", *names, *(need for name in names for need in _NEEDS.get(name, ()))])
    package = planned.package
    return ToolSet(
        files=(
            SourceFile(path=f"{package}/tools/__init__.py", text=registry(names)),
            *(
                SourceFile(path=f"{package}/tools/{name}.py", text=source(f"tools/{name}.py", package))
                for name in needed
            ),
            *(
                SourceFile(path=f"tests/test_{name}.py", text=source(f"tests/test_{name}.py", package))
                for name in needed
                if name in TOOLS
            ),
        )
    )


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
    phrases = wording(planned.language)
    note = in_markdown(planned.provenance) if planned.language != "en" else ""
    lines = [
        f"# {in_markdown(planned.title)}", "", f"> {phrases.drafted}" + (f" ({note})" if note else ""), "",
        f"## {phrases.asked}", "", quoted(project.requirement), "",
        f"## {phrases.tools}", "", *(f"- `{tool.name}`: {tool.title}" for tool in designed.tools), "",
    ]  # fmt: skip
    if analysed.not_covered:
        lines += [f"## {phrases.not_covered}", "", *(f"- {lack}" for lack in analysed.not_covered), ""]
    commands = [f"python -m {planned.package} {shlex.quote(tool.example)}" for tool in designed.tools]
    lines += [
        f"## {phrases.use}", "", "```sh", *commands, "```", "",
        phrases.try_it, "",
        *(f"- {in_markdown(point.text)}" for point in analysed.requirements[:3]), "",
        phrases.model, "",
        f"## {phrases.tests}", "", "```sh", "python -m pytest", "```", "",
    ]  # fmt: skip
    return "\n".join(lines)
