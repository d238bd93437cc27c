"""Reads projects, their runs, and their events."""

from __future__ import annotations

from penstock_api.domain.admission import Standing, admission_view, scopes_of
from penstock_api.domain.events import envelopes, is_over, last_sequence
from penstock_api.domain.leases import with_lease_ends
from penstock_api.domain.projects import board_view, detail, summary
from penstock_api.domain.views import AdmissionView, BoardView, EventPage, ProjectPage, ProjectSummary, ProjectView
from penstock_api.handlers.catalog import Catalog
from penstock_api.handlers.fleet import Fleet
from penstock_api.handlers.leases import Leases
from penstock_backbone.inventory import BY_STATUS, BY_TENANT, PROJECTS, RUNS
from penstock_backbone.ports import Clock, Tables
from penstock_backbone.records.limits import board_key, limit_key, use_key
from penstock_backbone.records.projects import ProjectItem, as_project, project_key
from penstock_backbone.records.runs import QUEUED, RunItem, as_run, run_key
from penstock_backbone.records.shards import as_ledger, ledger_key
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.tokens import is_granted, token_key
from penstock_backbone.vocabulary import Query


class Projects:
    """A project of another tenant is one that does not exist."""

    def __init__(self, tables: Tables, catalog: Catalog, leases: Leases, fleet: Fleet, clock: Clock) -> None:
        self._tables = tables
        self._catalog = catalog
        self._leases = leases
        self._fleet = fleet
        self._clock = clock

    async def find(self, tenant: str, project_id: str) -> ProjectItem | None:
        (item,) = await self._tables.get([project_key(project_id)])
        return as_project(item) if item is not None and item["tenant"] == tenant else None

    async def find_run(self, tenant: str, run_id: str) -> RunItem | None:
        (item,) = await self._tables.get([run_key(run_id)])
        return as_run(item) if item is not None and item["tenant"] == tenant else None

    async def detail(self, tenant: str, project_id: str) -> ProjectView | None:
        project = await self.find(tenant, project_id)
        if project is None:
            return None
        run, board = await self._tables.get([run_key(project["run_id"]), board_key(tenant)])
        announced = (await self._catalog.known()).get(project["workflow"])
        return detail(
            project,
            as_run(run) if run else None,
            board,
            announced["stages"] if announced else None,
            to_ms(self._clock.now()),
        )

    async def events(self, tenant: str, project_id: str, after: int, limit: int) -> EventPage | None:
        project = await self.find(tenant, project_id)
        if project is None:
            return None
        (item,) = await self._tables.get([run_key(project["run_id"])])
        run = as_run(item) if item else None
        page = [envelope for envelope, _ in zip(envelopes(project, run, after), range(limit), strict=False)]
        reached = page[-1].metadata.sequence if page else after
        return EventPage(events=page, after=reached, ended=is_over(run) and reached >= last_sequence(run))

    async def page(self, tenant: str, status: str | None, limit: int, cursor: str | None) -> ProjectPage:
        """Newest first. With `status` the index decides, which may be a moment behind."""
        if status is None:
            return await self._page_of_all(tenant, limit, cursor)
        query = Query(RUNS, f"{tenant}#{status}", index=BY_STATUS.name, descending=True, limit=limit, cursor=cursor)
        page = await self._tables.query(query)
        runs = [as_run(item) for item in page.items]
        keys = list(dict.fromkeys(project_key(run["project_id"]) for run in runs))
        items = await self._tables.get(keys) if keys else []
        projects = {item["pk"]: as_project(item) for item in items if item is not None}
        found = [
            summary(project, run)
            for run in runs
            # Only a project's current run speaks for it.
            if (project := projects.get(run["project_id"])) and project["run_id"] == run["pk"]
        ]
        return ProjectPage(projects=found, next_cursor=page.cursor)

    async def board(self, tenant: str) -> BoardView:
        (item,) = await self._tables.get([board_key(tenant)])
        return board_view(item)

    async def admission(self, tenant: str, run_id: str) -> AdmissionView | None:
        """Two reads, however many wait, and two more where a limit blocks: of those that hold it. One more for a run that
        was enqueued before the tenants were spread anew. Of a run that waits also the runners, at most once every few
        seconds."""
        run = await self.find_run(tenant, run_id)
        if run is None:
            return None
        scopes = scopes_of(run)
        # A run that was cancelled or paused before it was enqueued has had no token yet.
        tokens = [token_key(run["shard"], run["token"])] if run["token"] else []
        ledger, *items = await self._tables.get([ledger_key(), *map(limit_key, scopes), *map(use_key, scopes), *tokens])
        limits, uses = items[: len(scopes)], items[len(scopes) : 2 * len(scopes)]
        token = items[-1] if tokens else None
        home = as_ledger(ledger).home(tenant)
        if tokens and token is None and run["state"] == QUEUED and home != run["shard"]:
            (token,) = await self._tables.get([token_key(home, run["token"])])
        waits = run["state"] == QUEUED and not is_granted(token, run)
        served = await self._fleet.served() if waits else None
        view = admission_view(
            run, Standing(dict(zip(scopes, limits, strict=True)), dict(zip(scopes, uses, strict=True)), token, served)
        )
        holders = [name for blocker in view.blocked_by if blocker.reason == "limit" for name in blocker.holders]
        return with_lease_ends(view, await self._leases.of(list(dict.fromkeys(holders))))

    async def _page_of_all(self, tenant: str, limit: int, cursor: str | None) -> ProjectPage:
        query = Query(PROJECTS, tenant, index=BY_TENANT.name, descending=True, limit=limit, cursor=cursor)
        page = await self._tables.query(query)
        projects = [as_project(item) for item in page.items]
        runs = await self._tables.get([run_key(project["run_id"]) for project in projects]) if projects else []
        found: list[ProjectSummary] = [
            summary(project, as_run(run) if run else None) for project, run in zip(projects, runs, strict=True)
        ]
        return ProjectPage(projects=found, next_cursor=page.cursor)
