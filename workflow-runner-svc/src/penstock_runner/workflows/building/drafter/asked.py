"""What a requirement asks for, from its words alone: its plan, its points, the tools it calls for, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.building.documents import ProjectPlan, Requirement
from penstock_runner.workflows.building.drafter.catalog import CARDS, LACKS, NOTHING_FITS
from penstock_runner.workflows.building.drafter.library.agent import words_used
from penstock_runner.workflows.building.drafter.library.tools import TOOLS
from penstock_runner.workflows.building.drafter.naming import AGENTS, package_name
from penstock_runner.workflows.building.drafter.reading import language_of, points_of, readable, title_of
from penstock_runner.workflows.building.model import Assignment


def plan(given: Assignment[Any], endings: tuple[str, ...] = AGENTS) -> ProjectPlan:
    """`endings`: what the package's name may end in."""
    project = given.project
    return ProjectPlan(
        package=package_name(project.name, project.requirement, endings),
        title=title_of(project.name, project.requirement),
        language=language_of(readable(project.requirement)),
        **given.facts,
    )


def points(requirement: str) -> tuple[Requirement, ...]:
    return tuple(Requirement(id=f"R{number}", text=text) for number, text in enumerate(points_of(requirement), start=1))


def tools_asked_for(project: ProjectInput) -> dict[str, list[str]]:
    """The words of the project that ask for each tool; the tool that it uses most words of comes first."""
    text = readable("\n".join((project.name, project.requirement, *project.tags)))
    used = {name: sorted(words_used(text, TOOLS[name].WORDS)) for name in CARDS}
    order = list(CARDS)
    wanted = sorted((name for name in order if used[name]), key=lambda name: (-len(used[name]), order.index(name)))
    return {name: used[name] for name in wanted}


def not_covered(project: ProjectInput, language: str) -> tuple[str, ...]:
    """What no tool of the library can do, said openly."""
    lowered = readable(project.requirement).lower()
    lacks = [lack for lack in LACKS if any(word in lowered for word in lack.words)]
    if not tools_asked_for(project):
        lacks.insert(0, NOTHING_FITS)
    return tuple(lack.chinese if language == "zh" else lack.english for lack in lacks)


def fits(lacks: Sequence[str]) -> bool:
    """Whether any tool was found for what was asked, read from what is said to be not covered."""
    return not {NOTHING_FITS.english, NOTHING_FITS.chinese} & set(lacks)
