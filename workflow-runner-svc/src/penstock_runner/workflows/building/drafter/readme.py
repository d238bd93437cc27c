"""The README of a package, in the language of its requirement."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.building.documents import ProjectPlan
from penstock_runner.workflows.building.drafter.markdown import in_markdown, quoted
from penstock_runner.workflows.building.drafter.wording import wording

_POINTS_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Contents:
    """`offers`: name and title of everything it does; `points`: what of the requirement its tools know;
    `hint`: one more line on its use."""

    project: ProjectInput
    plan: ProjectPlan
    offers: tuple[tuple[str, str], ...]
    not_covered: tuple[str, ...]
    commands: tuple[str, ...]
    points: tuple[str, ...]
    hint: str


def written(contents: Contents) -> str:
    plan = contents.plan
    phrases = wording(plan.language)
    note = f" ({in_markdown(plan.provenance)})" if plan.language != "en" else ""
    lines = [
        f"# {in_markdown(plan.title)}", "", f"> {phrases.drafted}{note}", "",
        f"## {phrases.asked}", "", quoted(contents.project.requirement), "",
        f"## {phrases.tools}", "", *(f"- `{name}`: {title}" for name, title in contents.offers), "",
    ]  # fmt: skip
    if contents.not_covered:
        lines += [f"## {phrases.not_covered}", "", *(f"- {lack}" for lack in contents.not_covered), ""]
    lines += [
        f"## {phrases.use}", "", "```sh", *contents.commands, "```", "",
        *_to_try(phrases.try_it, contents.points[:_POINTS_SHOWN_MAX]),
        contents.hint, "",
        f"## {phrases.tests}", "", "```sh", "python -m pytest", "```", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _to_try(line: str, points: tuple[str, ...]) -> list[str]:
    return [line, "", *(f"- {in_markdown(point)}" for point in points), ""] if points else []
