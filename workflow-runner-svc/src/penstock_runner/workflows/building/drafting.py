"""The stages in which a model drafts a document: what it is given, and what is looked for in its answer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from penstock_backbone.ports import Clock
from penstock_runner.authoring import FinalError, ProjectInput, Stage, StageContext, UsageMeter
from penstock_runner.workflows.building.delivery import leaving
from penstock_runner.workflows.building.documents import Document, ProjectPlan, SourceFile
from penstock_runner.workflows.building.inspection import misplaced, unreadable
from penstock_runner.workflows.building.lint import lint
from penstock_runner.workflows.building.model import (
    Assignment,
    Check,
    DocumentModel,
    DraftingModel,
    ModelBusy,
    Part,
)
from penstock_runner.workflows.building.proving import refuse_untestable
from penstock_runner.workflows.building.workbench import Workbench

DRAFTS_MAX = 3
"""Attempts of a stage whose answers cannot be used: each is paid for."""
BUSY_ATTEMPTS_MAX = 12
BUSY_BACKOFF_SECONDS = 15.0
"""A service that is away for ten minutes costs no run; runs that wait for it hold no slot."""

Facts: TypeAlias = Callable[[StageContext], Awaitable[Mapping[str, Any]]]
"""What a stage knows of its document without asking anybody."""

DocumentStage: TypeAlias = Callable[[StageContext], Awaitable[DocumentModel]]

Proof: TypeAlias = Callable[[StageContext], Check]
"""Looks at the document of a stage in which nothing else is wrong, with what the stages before have left."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the stages of a building workflow work with. `pace_seconds` is waited before a document, so that people can
    watch a drafter that is too fast. `resources` are what the model uses."""

    model: DraftingModel
    workbench: Workbench
    clock: Clock
    pace_seconds: float = 0.0
    resources: tuple[str, ...] = ()

    async def pace(self) -> None:
        if self.pace_seconds > 0:
            await self.clock.sleep(self.pace_seconds)


def drafted_stage(
    part: Part[Any], parts: Sequence[Part[Any]], shop: Workshop, facts: Facts | None = None, proof: Proof | None = None
) -> Stage:
    return model_stage(part, leaving(drafting(part, parts, shop, facts, proof)), part.output, shop)


def model_stage(
    part: Part[Any], run: DocumentStage[DocumentModel], output: type[DocumentModel], shop: Workshop
) -> Stage:
    """A stage that asks the model: more attempts where its service is busy than where its answers are no use."""

    async def attempt(context: StageContext) -> DocumentModel:
        try:
            return await run(context)
        except (FinalError, ModelBusy):
            raise
        except Exception as error:
            if context.attempt >= DRAFTS_MAX:
                raise FinalError(str(error)) from error
            raise

    return Stage(
        part.stage,
        attempt,
        output,
        part.title,
        attempts_max=BUSY_ATTEMPTS_MAX,
        backoff_seconds=BUSY_BACKOFF_SECONDS,
        resources=shop.resources,
    )


def drafted_stages(
    parts: Sequence[Part[Any]], shop: Workshop, proofs: Mapping[type[Document], Proof] = MappingProxyType({})
) -> tuple[Stage, ...]:
    """One for each part; the first document is the ProjectPlan. `proofs`: by the document that is proved."""
    plan, *rest = parts
    first = drafted_stage(plan, parts, shop, facts_of_plan(shop.model))
    return (first, *(drafted_stage(part, parts, shop, proof=proofs.get(part.output)) for part in rest))


def drafting(
    part: Part[DocumentModel],
    parts: Sequence[Part[Any]],
    shop: Workshop,
    facts: Facts | None = None,
    proof: Proof | None = None,
) -> DocumentStage[DocumentModel]:
    """A stage that gives the model everything that the `parts` listed before it have drafted, and takes its document."""
    before = parts[: parts.index(part)]

    async def draft(context: StageContext) -> DocumentModel:
        refuse_untestable(shop.workbench)
        await shop.pace()
        earlier = {one.output: context.output_of(one.stage, one.output) for one in before}
        known = {} if facts is None else await facts(context)
        further = None if proof is None else proof(context)
        given = assignment(part, project_of(context), earlier, context.usage, facts=known, further=further)
        return await shop.model.draft(given)

    return draft


def assignment(
    part: Part[DocumentModel],
    project: ProjectInput,
    earlier: Mapping[type[Document], Document],
    usage: UsageMeter,
    *,
    facts: Mapping[str, Any],
    further: Check | None = None,
) -> Assignment[DocumentModel]:
    """`further` looks at a document in which nothing else is wrong."""

    async def check(document: Document) -> list[str]:
        files: tuple[SourceFile, ...] = getattr(document, "files", ())
        paths = (*(file.path for file in files), *getattr(document, "removed", ()))
        places = tuple(place.format(_package(earlier)) for place in part.places)
        found = await asyncio.to_thread(_faults, files, paths, places)
        return found or ([] if further is None else await further(document))

    return Assignment(part, project, earlier, facts, check, usage)


def _faults(files: tuple[SourceFile, ...], paths: tuple[str, ...], places: tuple[str, ...]) -> list[str]:
    return [*misplaced(paths, places), *unreadable(files)] or list(lint(files).faults)


def facts_of_plan(model: DraftingModel) -> Facts:
    """A ProjectPlan's: what was asked for, and who drafts."""

    async def facts(context: StageContext) -> Mapping[str, Any]:
        return plan_facts(project_of(context), model.provenance)

    return facts


def plan_facts(project: ProjectInput, provenance: str) -> dict[str, Any]:
    return {
        "requirement_sha256": hashlib.sha256(project.requirement.encode()).hexdigest(),
        "requirement_chars": len(project.requirement),
        "provenance": provenance,
    }


def project_of(context: StageContext) -> ProjectInput:
    """Half characters, which no file can hold, become question marks; all else stays as it was given."""
    given = context.project
    return given.model_copy(update={"name": _encodable(given.name), "requirement": _encodable(given.requirement)})


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _package(earlier: Mapping[type[Document], Document]) -> str:
    """The name of the package that is built, which the first stage has chosen."""
    return next(document.package for document in earlier.values() if isinstance(document, ProjectPlan))
