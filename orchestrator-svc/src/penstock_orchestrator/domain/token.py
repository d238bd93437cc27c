"""A run that waits or holds a slot, as the gate keeps it in memory."""

from __future__ import annotations

from typing import NamedTuple

from penstock_backbone.records.limits import shared_scopes
from penstock_backbone.records.sessions import needed
from penstock_backbone.records.tokens import TokenItem
from penstock_orchestrator.domain.occupancy import Kind


class Token(NamedTuple):
    """A token item without its state. `key` is its sort key; `needs` what a runner must serve to execute its run (see
    records.sessions); `fence` the last one it was granted under (0: none).

    Ordered by time of acceptance (ms), then run id: the same for everybody who looks.
    """

    at: int
    run: str
    key: str
    project: str
    tenant: str
    workflow: str
    resources: tuple[str, ...]
    kind: Kind
    needs: str
    priority: int
    fence: int

    def under(self, fence: int) -> Token:
        return Token(*self[:-1], fence)

    def begun_with(self, version: str) -> Token:
        """The run keeps the version from now on; "" says nothing."""
        return self._replace(needs=needed(self.workflow, version)) if version else self

    @classmethod
    def of(cls, item: TokenItem) -> Token:
        workflow, resources = item["wf"], tuple(item.get("res", ()))
        return cls(
            item["at"], item["run"], item["sk"], item["project"], item["tenant"], workflow, resources,
            shared_scopes(workflow, resources), needed(workflow, item.get("ver", "")), item["prio"], item["f"],
        )  # fmt: skip
