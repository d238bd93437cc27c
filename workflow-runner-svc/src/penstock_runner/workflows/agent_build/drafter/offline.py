"""The drafting model that is no model: templates and text analysis, for machines without one. It says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock_runner.workflows.agent_build.documents import (
    AgentCode,
    AgentDesign,
    Document,
    ProjectPlan,
    PromptSet,
    RequirementsAnalysis,
    SystemArchitecture,
    ToolSet,
)
from penstock_runner.workflows.agent_build.drafter import analysis, writing
from penstock_runner.workflows.agent_build.model import Assignment, DocumentModel, Draft


def _analysis(given: Assignment[Document]) -> Document:
    return analysis.requirements(given.project, given.document(ProjectPlan))


def _architecture(given: Assignment[Document]) -> Document:
    return analysis.architecture(given.document(ProjectPlan), given.document(RequirementsAnalysis))


def _design(given: Assignment[Document]) -> Document:
    return analysis.design(given.document(ProjectPlan), given.document(RequirementsAnalysis))


def _prompts(given: Assignment[Document]) -> Document:
    return writing.prompts(given.project, given.document(ProjectPlan), given.document(AgentDesign))


def _code(given: Assignment[Document]) -> Document:
    return writing.code(
        given.project,
        given.document(ProjectPlan),
        given.document(RequirementsAnalysis),
        given.document(AgentDesign),
    )


_WRITERS: Mapping[type[Document], Callable[[Assignment[Document]], Document]] = {
    ProjectPlan: lambda given: analysis.plan(given.project),
    RequirementsAnalysis: _analysis,
    SystemArchitecture: _architecture,
    AgentDesign: _design,
    ToolSet: lambda given: writing.tools(given.document(ProjectPlan), given.document(AgentDesign)),
    PromptSet: _prompts,
    AgentCode: _code,
}


class OfflineDrafter:
    """A DraftingModel. The same project gives the same documents; it measures no usage, so it reports none."""

    async def draft(self, assignment: Assignment[DocumentModel]) -> Draft[DocumentModel]:
        document = _WRITERS[assignment.output](assignment)  # type: ignore[arg-type]  # the writer reads, never writes, it
        assert isinstance(document, assignment.output)
        return Draft(document)
