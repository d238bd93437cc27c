"""Takes a requirement apart and designs its agent: the documents before the code, from words alone."""

from __future__ import annotations

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.agent_build.documents import (
    AgentDesign,
    Capability,
    Component,
    RequirementsAnalysis,
    SystemArchitecture,
    ToolChoice,
)
from penstock_runner.workflows.building.documents import ProjectPlan
from penstock_runner.workflows.building.drafter.asked import not_covered, points, tools_asked_for
from penstock_runner.workflows.building.drafter.catalog import CARDS, DEFAULT_TOOLS, TOOLS_MAX, TOOLS_MIN
from penstock_runner.workflows.building.drafter.library.tools import TOOLS
from penstock_runner.workflows.building.drafter.library.tools.keywords import extract
from penstock_runner.workflows.building.drafter.reading import readable
from penstock_runner.workflows.building.drafter.wording import wording

_WORDS_SHOWN_MAX = 8


def requirements(project: ProjectInput, planned: ProjectPlan) -> RequirementsAnalysis:
    return RequirementsAnalysis(
        requirements=points(project.requirement),
        keywords=tuple(word[:100] for word in extract(readable(project.requirement))),
        capabilities=tuple(capabilities(project)),
        not_covered=not_covered(project, planned.language),
    )


def capabilities(project: ProjectInput) -> list[Capability]:
    """Two to four tools: those whose words the project uses most, then what goes with them, then the defaults."""
    used = tools_asked_for(project)
    chosen = list(used)[:TOOLS_MAX]
    fill = [companion for name in chosen for companion in CARDS[name].companions]
    for name in (*fill, *DEFAULT_TOOLS):
        if len(chosen) < TOOLS_MIN and name not in chosen:
            chosen.append(name)
    return [
        Capability(tool=name, words=tuple(word.strip() for word in used.get(name, ())[:_WORDS_SHOWN_MAX]))
        for name in chosen
    ]


def architecture(planned: ProjectPlan, analysed: RequirementsAnalysis) -> SystemArchitecture:
    tools = [capability.tool for capability in analysed.capabilities]
    return SystemArchitecture(
        components=(
            Component(name="command_line", duty="reads one request and prints its answer", uses=("agent",)),
            Component(name="agent", duty="routes a request to a tool by its words", uses=(*tools, "model")),
            Component(name="model", duty="optional: words the reply from the tool's result"),
            *(Component(name=tool, duty=CARDS[tool].titles["en"], uses=("desk",)) for tool in tools),
            Component(name="desk", duty="the files, folder, date and network that tools may touch"),
        ),
        flow=("request", "route", "tool", "model, if one is given", "answer"),
        interfaces={
            "command": f"python -m {planned.package} REQUEST [--file PATH] [--folder PATH] [--tool NAME]",
            "python": f"{planned.package}.load(model=None).handle(request, desk) -> Answer(tool, text, served)",
            "tool": "answer(request: str, desk: Desk) -> str",
            "model": "(system prompt, message) -> reply",
        },
    )


def design(planned: ProjectPlan, analysed: RequirementsAnalysis) -> AgentDesign:
    phrases = wording(planned.language)
    example = 1 if planned.language == "zh" else 0
    return AgentDesign(
        role=phrases.role.format(planned.title),
        tools=tuple(
            ToolChoice(name=name, title=CARDS[name].title(planned.language), example=TOOLS[name].EXAMPLES[example])
            for name in (capability.tool for capability in analysed.capabilities)
        ),
        rules=(phrases.rule_tools, phrases.rule_invent, phrases.rule_language, phrases.rule_personal),
    )
