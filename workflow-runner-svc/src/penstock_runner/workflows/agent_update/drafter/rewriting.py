"""Changes a package that the offline drafter has made: adds and removes tools, and writes anew what follows from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from penstock_runner.authoring import FinalError, ProjectInput
from penstock_runner.workflows.agent_build.documents import AgentDesign, Capability, RequirementsAnalysis
from penstock_runner.workflows.agent_build.drafter import analysis, writing
from penstock_runner.workflows.agent_update.documents import (
    CHANGES_MAX,
    ChangeSet,
    CodeUpdate,
    PromptUpdate,
    RequirementsUpdate,
    ToolUpdate,
    UpdatePlan,
)
from penstock_runner.workflows.agent_update.drafter.wishes import wanted_tools
from penstock_runner.workflows.agent_update.source_package import spec_of
from penstock_runner.workflows.building.documents import TOOLS_MAX, ProjectPlan, Requirement, SourceFile
from penstock_runner.workflows.building.drafter.asked import not_covered, points
from penstock_runner.workflows.building.drafter.catalog import CARDS
from penstock_runner.workflows.building.drafter.offline import OfflineDrafter
from penstock_runner.workflows.building.drafter.reading import shorten
from penstock_runner.workflows.building.model import Assignment

SUMMARY_CHARS_MAX = 200
Changes = TypeVar("Changes", bound=ChangeSet)


def plan(given: Assignment[Any]) -> UpdatePlan:
    change = given.project.requirement
    known = UpdatePlan(summary=shorten(change, SUMMARY_CHARS_MAX) or "?", touches=("prompts", "code"), **given.facts)
    before, after = _before(known).tools, _design_after(known).tools
    return known if before == after else known.model_copy(update={"touches": ("tools", "prompts", "code")})


def requirements(given: Assignment[Any]) -> RequirementsUpdate:
    known = given.document(UpdatePlan)
    count = len(spec_of(known.package, known.base).get("requirements", []))
    asked = points(known.change)[:CHANGES_MAX]
    return RequirementsUpdate(
        changes=tuple(Requirement(id=f"R{count + number}", text=one.text) for number, one in enumerate(asked, start=1)),
        not_covered=not_covered(_asked(known.requirement), known.language),
        design=_design_after(known),
    )


def tools(given: Assignment[Any]) -> ToolUpdate:
    known = given.document(UpdatePlan)
    after = given.document(RequirementsUpdate).design
    return _changes(ToolUpdate, known, writing.tools(known, _before(known)).files, writing.tools(known, after).files)


def prompts(given: Assignment[Any]) -> PromptUpdate:
    known = given.document(UpdatePlan)
    old = writing.prompts(_asked(_requirement_before(known)), _plan_before(known), _before(known))
    new = writing.prompts(_asked(known.requirement), known, given.document(RequirementsUpdate).design)
    return _changes(PromptUpdate, known, old.files, new.files)


def code(given: Assignment[Any]) -> CodeUpdate:
    known, update = given.document(UpdatePlan), given.document(RequirementsUpdate)
    design = _before(known)
    spec = spec_of(known.package, known.base)
    former = tuple(Requirement.model_validate(one) for one in spec.get("requirements", []))
    lacks = tuple(spec.get("not_covered", ()))
    old = writing.code(
        _asked(_requirement_before(known)), _plan_before(known), _analysis(former, design, lacks), design
    )
    both = (*former, *update.changes)
    new = writing.code(
        _asked(known.requirement), known, _analysis(both, update.design, update.not_covered), update.design
    )
    return _changes(CodeUpdate, known, old.files, new.files)


def _before(known: UpdatePlan) -> AgentDesign:
    """The agent as it was. Raises FinalError where the package is not one of the drafter's own."""
    spec = spec_of(known.package, known.base)
    try:
        design = AgentDesign.model_validate(spec)
    except ValidationError:
        design = None
    if design is None or known.base_provenance != OfflineDrafter.provenance or _names(design) - CARDS.keys():
        raise FinalError(
            "Without a model only packages can be changed that were drafted without one, by agent_build: "
            "set PENSTOCK_MODEL to change this one."
        )
    return design


def _design_after(known: UpdatePlan) -> AgentDesign:
    before = _before(known)
    gone, added = wanted_tools(known.change, [tool.name for tool in before.tools])
    kept = [tool for tool in before.tools if tool.name not in gone]
    chosen = analysis.design(known, _analysis((), before, (), added)).tools if added else ()
    if not (*kept, *chosen):
        raise FinalError("The change would leave the agent without a tool: say which one stays, or which is added.")
    return before.model_copy(update={"tools": (*kept, *chosen)[:TOOLS_MAX]})


def _analysis(
    requirements: Iterable[Requirement], design: AgentDesign, lacks: Iterable[str], names: Iterable[str] = ()
) -> RequirementsAnalysis:
    """As agent_build's writers want it, for the design's tools or for those that are named."""
    return RequirementsAnalysis.model_construct(
        requirements=tuple(requirements),
        capabilities=tuple(Capability(tool=name) for name in names or [tool.name for tool in design.tools]),
        not_covered=tuple(lacks),
    )


def _plan_before(known: UpdatePlan) -> ProjectPlan:
    digest = hashlib.sha256(_requirement_before(known).encode()).hexdigest()
    return known.model_copy(update={"requirement_sha256": digest, "provenance": known.base_provenance})


def _requirement_before(known: UpdatePlan) -> str:
    return str(spec_of(known.package, known.base).get("requirement", ""))


def _asked(requirement: str) -> ProjectInput:
    return ProjectInput(name="", requirement=requirement)


def _names(design: AgentDesign) -> set[str]:
    return {tool.name for tool in design.tools}


def _changes(kind: type[Changes], known: UpdatePlan, old: Iterable[SourceFile], new: Iterable[SourceFile]) -> Changes:
    """What differs between what the drafter wrote and what it writes now. Raises FinalError where somebody else has
    changed a file that it would write over."""
    base, before, after = ({file.path: file.text for file in files} for files in (known.base, old, new))
    files = tuple(SourceFile(path=path, text=text) for path, text in after.items() if before.get(path) != text)
    removed = tuple(path for path in before if path not in after)
    for path in (*(file.path for file in files), *removed):
        if base.get(path) != before.get(path):
            raise FinalError(
                f"{path} was changed by hand, and without a model it can only be written anew: set PENSTOCK_MODEL, "
                "or give the file as agent_build made it."
            )
    return kind(files=files, removed=removed)
