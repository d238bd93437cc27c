"""What the routes are given: the handlers, wired by bootstrap, found in the application's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from litestar.connection import ASGIConnection

from penstock_api.handlers.accept import Acceptance
from penstock_api.handlers.artifacts import Artifacts
from penstock_api.handlers.catalog import Catalog
from penstock_api.handlers.limits import Limits
from penstock_api.handlers.projects import Projects
from penstock_api.handlers.readiness import Readiness
from penstock_api.handlers.verbs import Verbs
from penstock_api.push.hub import Hub
from penstock_backbone.ports import Ids
from penstock_backbone.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Parts:
    acceptance: Acceptance
    verbs: Verbs
    projects: Projects
    artifacts: Artifacts
    limits: Limits
    catalog: Catalog
    readiness: Readiness
    hub: Hub
    telemetry: Telemetry
    ids: Ids


def parts_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Parts:
    return cast(Parts, connection.app.state.parts)
