"""What the routes are given: the handlers, wired by bootstrap, found in the scope of each request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

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

_PARTS: Final = "penstock.parts"


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


def give_parts(scope: Any, parts: Parts) -> None:
    scope[_PARTS] = parts


def parts_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Parts:
    scope: Any = connection.scope
    return cast(Parts, scope[_PARTS])
