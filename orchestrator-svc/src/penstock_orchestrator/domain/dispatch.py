"""What a runner is told about a granted run."""

from __future__ import annotations

import msgspec

from penstock_backbone.vocabulary import Outgoing

_encoder = msgspec.json.Encoder()


def dispatch(*, run: str, fence: int, token: str, tenant: str, project: str) -> Outgoing:
    """A hint: the runner claims the run under the fence, and the runs table decides. Tenants take turns in the queue."""
    body = {"run": run, "fence": fence, "token": token, "tenant": tenant, "project": project}
    return Outgoing(_encoder.encode(body).decode(), group=tenant)
