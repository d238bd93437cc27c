"""The port to whatever drafts an agent's documents: the offline drafter, or a language model's service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from penstock_events.facts import Usage
from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.agent_build.documents import Document

DocumentModel = TypeVar("DocumentModel", bound=Document)
EarlierModel = TypeVar("EarlierModel", bound=Document)


@dataclass(frozen=True, slots=True)
class Assignment(Generic[DocumentModel]):
    """What to draft: the document of one stage, from the project and the documents before it."""

    project: ProjectInput
    stage: str
    output: type[DocumentModel]
    earlier: Mapping[type[Document], Document]

    def document(self, kind: type[EarlierModel]) -> EarlierModel:
        """The earlier document of that kind; KeyError when no earlier stage makes one."""
        found = self.earlier[kind]
        assert isinstance(found, kind)
        return found


@dataclass(frozen=True, slots=True)
class Draft(Generic[DocumentModel]):
    """`usage` is what the model's service measured; None when nothing did."""

    document: DocumentModel
    usage: Usage | None = None


class DraftingModel(Protocol):
    async def draft(self, assignment: Assignment[DocumentModel]) -> Draft[DocumentModel]: ...
