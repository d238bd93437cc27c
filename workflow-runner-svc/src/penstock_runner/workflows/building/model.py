"""The port to whatever drafts a workflow's documents: the offline drafter, or a language model's service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from penstock_runner.authoring import ProjectInput, UsageMeter
from penstock_runner.workflows.building.documents import Document

DocumentModel = TypeVar("DocumentModel", bound=Document)
EarlierModel = TypeVar("EarlierModel", bound=Document)
Writer: TypeAlias = "Callable[[Assignment[Any]], Document]"
Check: TypeAlias = Callable[[Document], Awaitable[list[str]]]
"""What a schema cannot say is wrong with a document: one sentence a fault, none for a document that can be used."""


@dataclass(frozen=True, slots=True)
class Part(Generic[DocumentModel]):
    """A stage whose document a model drafts.

    `home`: the package whose folder prompts/ says in <stage>.md what a model's service is asked for; `offline` writes
    the document without one. `places`: where its files may be, with {} for the name of the package that is built.
    """

    stage: str
    title: str
    output: type[DocumentModel]
    home: str
    offline: Writer
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assignment(Generic[DocumentModel]):
    """One document to draft, from the project and the documents before it.

    `facts` are fields of the document that are known, so that no model is asked for them. `usage` takes what the
    model's service has measured, nothing where nothing did.
    """

    part: Part[DocumentModel]
    project: ProjectInput
    earlier: Mapping[type[Document], Document]
    facts: Mapping[str, Any]
    check: Check
    usage: UsageMeter

    def document(self, kind: type[EarlierModel]) -> EarlierModel:
        """The earlier document of that kind; KeyError when no earlier stage makes one."""
        found = self.earlier[kind]
        assert isinstance(found, kind)
        return found


class ModelBusy(Exception):
    """The model's service did not answer in time: it may later."""


class DraftingModel(Protocol):
    @property
    def provenance(self) -> str:
        """For people: by whom a document was drafted."""
        ...

    async def draft(self, assignment: Assignment[DocumentModel]) -> DocumentModel:
        """Raises ModelBusy, FinalError when no model can help, and whatever another attempt may mend."""
        ...
