"""Wires the API: the one place that names its real parts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from litestar.types import ASGIApp

from penstock_api.application import create_application
from penstock_api.handlers.accept import Acceptance
from penstock_api.handlers.artifacts import Artifacts
from penstock_api.handlers.catalog import Catalog
from penstock_api.handlers.fleet import Fleet
from penstock_api.handlers.leases import Leases
from penstock_api.handlers.limits import Limits
from penstock_api.handlers.projects import Projects
from penstock_api.handlers.readiness import Readiness
from penstock_api.handlers.verbs import Verbs
from penstock_api.hosts import Hosts
from penstock_api.origins import Origins
from penstock_api.parts import Parts
from penstock_api.push.hub import Hub
from penstock_backbone.engines import Engine, EngineSettings, open_engine
from penstock_backbone.environment import allowed_hosts, allowed_origins
from penstock_backbone.errors import Retryable
from penstock_backbone.ports import Clock, Ids
from penstock_backbone.system import SystemClock, SystemIds
from penstock_backbone.telemetry import Telemetry, start

SERVICE = "penstock-api"
START_SECONDS_MAX = 10.0
_REMEDY = {
    "embedded": "start everything with `penstock up`, on the same data folder.",
    "aws": "see whether AWS, or the emulator at PENSTOCK_AWS_ENDPOINT, can be reached from here.",
}


@dataclass(frozen=True, slots=True)
class Api:
    application: ASGIApp
    parts: Parts
    engine: Engine

    async def close(self) -> None:
        self.parts.hub.close()
        await self.engine.close()
        self.parts.telemetry.shutdown()


def parts_on(engine: Engine, clock: Clock, ids: Ids, telemetry: Telemetry) -> Parts:
    """The API's work without its web application."""
    catalog = Catalog(engine.tables, clock)
    projects = Projects(engine.tables, catalog, Leases(engine.tables, clock), Fleet(engine.tables, clock), clock)
    return Parts(
        acceptance=Acceptance(engine.tables, catalog, clock, ids),
        verbs=Verbs(engine.tables, projects, catalog, clock),
        projects=projects,
        artifacts=Artifacts(engine.blobs),
        limits=Limits(engine.tables, clock, ids),
        catalog=catalog,
        readiness=Readiness(catalog, clock),
        hub=Hub(engine.tables, engine.watch, clock),
        telemetry=telemetry,
        ids=ids,
    )


def assemble(
    engine: Engine, clock: Clock, ids: Ids, telemetry: Telemetry, *,
    origins: frozenset[str] = frozenset(), hosts: frozenset[str] = frozenset(),
) -> Api:  # fmt: skip
    """`origins` and `hosts`: those that may use it beside its own."""
    parts = parts_on(engine, clock, ids, telemetry)
    return Api(create_application(parts, Origins(origins), Hosts(hosts)), parts, engine)


async def connect(environment: Mapping[str, str]) -> Api:
    """Raises BackboneError when the engine cannot be reached."""
    clock = SystemClock()
    settings = EngineSettings.from_environment(environment)
    origins, hosts = allowed_origins(environment), allowed_hosts(environment)
    engine = await open_engine(settings, clock)
    otlp = bool(environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"))
    # On AWS the local folder is not a place that anybody would look at.
    store_path = settings.data / "spans.db" if settings.engine == "embedded" else None
    telemetry = start(SERVICE, store_path=store_path, otlp=otlp)
    api = assemble(engine, clock, SystemIds(), telemetry, origins=origins, hosts=hosts)
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            await api.parts.catalog.known()
    except TimeoutError as error:
        await api.close()
        raise Retryable(f"the {settings.engine} engine does not answer: {_REMEDY[settings.engine]}") from error
    except BaseException:
        await api.close()
        raise
    return api
