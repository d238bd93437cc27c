"""Takes a requirement apart and designs its agent: the first four documents, from words alone."""

from __future__ import annotations

import hashlib

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.agent_build.documents import (
    AgentDesign,
    Capability,
    Component,
    ProjectPlan,
    Requirement,
    RequirementsAnalysis,
    SystemArchitecture,
    ToolChoice,
)
from penstock_runner.workflows.agent_build.drafter.catalog import CARDS, DEFAULT_TOOLS, LACKS, TOOLS_MAX, TOOLS_MIN
from penstock_runner.workflows.agent_build.drafter.library.agent import words_used
from penstock_runner.workflows.agent_build.drafter.library.tools import TOOLS
from penstock_runner.workflows.agent_build.drafter.library.tools.keywords import extract
from penstock_runner.workflows.agent_build.drafter.naming import package_name
from penstock_runner.workflows.agent_build.drafter.reading import language_of, points_of, readable, title_of
from penstock_runner.workflows.agent_build.drafter.wording import wording

PROVENANCE = "drafted offline from templates, no model was used"
_WORDS_SHOWN_MAX = 8


def plan(project: ProjectInput) -> ProjectPlan:
    return ProjectPlan(
        package=package_name(project.name, project.requirement),
        title=title_of(project.name, project.requirement),
        language=language_of(readable(project.requirement)),
        requirement_sha256=hashlib.sha256(project.requirement.encode()).hexdigest(),
        requirement_chars=len(project.requirement),
        provenance=PROVENANCE,
    )


def requirements(project: ProjectInput, planned: ProjectPlan) -> RequirementsAnalysis:
    text = readable(project.requirement)
    points = points_of(project.requirement)
    lowered = text.lower()
    lacks = (lack for lack in LACKS if any(word in lowered for word in lack.words))
    return RequirementsAnalysis(
        requirements=tuple(Requirement(id=f"R{number}", text=point) for number, point in enumerate(points, start=1)),
        keywords=tuple(word[:100] for word in extract(text)),
        capabilities=tuple(capabilities(project)),
        not_covered=tuple(lack.chinese if planned.language == "zh" else lack.english for lack in lacks),
    )


def capabilities(project: ProjectInput) -> list[Capability]:
    """Two to four tools: those whose words the project uses most, then what goes with them, then the defaults."""
    text = readable("\n".join((project.name, project.requirement, *project.tags)))
    used = {name: sorted(words_used(text, TOOLS[name].WORDS)) for name in CARDS}
    order = list(CARDS)
    wanted = sorted((name for name in order if used[name]), key=lambda name: (-len(used[name]), order.index(name)))
    chosen = wanted[:TOOLS_MAX]
    fill = [companion for name in chosen for companion in CARDS[name].companions]
    for name in (*fill, *DEFAULT_TOOLS):
        if len(chosen) < TOOLS_MIN and name not in chosen:
            chosen.append(name)
    return [
        Capability(tool=name, words=tuple(word.strip() for word in used[name][:_WORDS_SHOWN_MAX])) for name in chosen
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
            ToolChoice(
                name=capability.tool,
                title=CARDS[capability.tool].titles.get(planned.language, CARDS[capability.tool].titles["en"]),
                example=TOOLS[capability.tool].EXAMPLES[example],
            )
            for capability in analysed.capabilities
        ),
        rules=(phrases.rule_tools, phrases.rule_invent, phrases.rule_language, phrases.rule_personal),
    )
