"""The drafting model that is no model: templates and text analysis, for machines without one. It says so."""

from __future__ import annotations

from penstock_runner.workflows.building.model import Assignment, DocumentModel


class OfflineDrafter:
    """A DraftingModel. The same project gives the same documents; it measures no usage, so it reports none."""

    provenance = "drafted offline from templates, no model was used"

    async def draft(self, assignment: Assignment[DocumentModel]) -> DocumentModel:
        document = assignment.part.offline(assignment)
        assert isinstance(document, assignment.part.output)
        return document
