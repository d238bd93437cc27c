"""Penstock on this machine, from the first check to the last process ended: what `up` and `demo` share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

import httpx

from penstock_backbone.engines import Engine, EngineSettings, open_engine
from penstock_backbone.errors import BackboneError, Retryable
from penstock_backbone.ports import Clock, Ids
from penstock_backbone.reading import read_whole
from penstock_backbone.records import sessions
from penstock_backbone.records.limits import FLEET, change_limit, limit_key, stated
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Committed, Write
from penstock_cli.data_folder import DataFolder
from penstock_cli.preflight import require_endpoint, require_free_port, require_workflows
from penstock_cli.programs import Wish, programs
from penstock_cli.refusal import Refusal
from penstock_cli.supervisor import Supervisor

READY_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.03
WHO = "penstock --limit"
"""Whose word a limit is that was named at the start, in the record of its changes."""
AWS_ANSWER_SECONDS_MAX = 20.0
MOURN_SECONDS_MAX = sessions.LEASE_SECONDS
"""Afterwards the orchestrator has found out by itself."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything answers. `address` is the API's, without a slash at the end."""

    address: str
    folder: DataFolder


@contextlib.asynccontextmanager
async def machine(
    wish: Wish,
    folder: DataFolder,
    settings: EngineSettings,
    *,
    clock: Clock,
    ids: Ids,
    report: Callable[[str], None],
    hurry: asyncio.Event,
) -> AsyncIterator[Machine]:
    """Running and ready inside the body. Raises Refusal; the caller owns the data folder. `hurry`: see Supervisor."""
    require_free_port(wish.host, wish.port)
    require_workflows(wish.workflows)
    settings = replace(settings, data=folder.path, socket=folder.socket)
    async with _engine(settings, clock) as engine:

        async def bury(session: str) -> None:
            await bury_sessions(engine, [session], clock)

        supervisor = Supervisor(
            programs(wish, settings, folder), clock=clock, ids=ids, report=report, on_death=bury, hurry=hurry
        )
        async with supervisor.running():
            await _prepare(engine, wish, supervisor, clock, ids, alone=settings.engine == "embedded")
            try:
                async with asyncio.timeout(READY_SECONDS_MAX):
                    await _ready(wish, engine, supervisor, clock)
            except TimeoutError:
                raise Refusal(
                    f"Penstock was not ready after {READY_SECONDS_MAX:.0f} s: the logs in {folder.log('api').parent} say why."
                ) from None
            yield Machine(wish.address, folder)


@contextlib.asynccontextmanager
async def _engine(settings: EngineSettings, clock: Clock) -> AsyncIterator[Engine]:
    """AWS is asked at once whether it answers; the embedded engine's store is started later."""
    try:
        if settings.endpoint and settings.engine == "aws":
            await require_endpoint(settings.endpoint)
        async with asyncio.timeout(AWS_ANSWER_SECONDS_MAX):
            engine = await open_engine(settings, clock)
    except TimeoutError:
        raise Refusal(
            f"AWS did not answer within {AWS_ANSWER_SECONDS_MAX:.0f} s: check region, credentials and network."
        ) from None
    except BackboneError as error:
        raise Refusal(f"{error}") from error
    try:
        yield engine
    finally:
        await engine.close()


async def _prepare(engine: Engine, wish: Wish, supervisor: Supervisor, clock: Clock, ids: Ids, *, alone: bool) -> None:
    """The limit, if one was named; and the end of all sessions that an earlier life of this data folder left."""
    if wish.limit is not None:
        await limit_fleet(engine, wish.limit, clock, ids)
    if alone:
        await bury_sessions(
            engine, [name for name in await _open_sessions(engine) if name not in supervisor.sessions()], clock
        )


async def limit_fleet(engine: Engine, limit: int, clock: Clock, ids: Ids) -> None:
    """As an operator's PUT does it: what else was said of the fleet stays, and the change is on record. Repeated until it
    is done: the store may be away for a moment, and somebody else may be faster."""
    change = ids.new("chg")
    while True:
        try:
            (old,) = await engine.tables.get([limit_key(FLEET)])
            if old is not None and old.get("limit") == limit:
                return
            new = stated(FLEET, old)._replace(limit=limit)
            at = to_ms(clock.now())
            if (
                await engine.tables.transact(change_limit(FLEET, old, new, change=change, who=WHO, at=at))
                == Committed()
            ):
                return
        except Retryable:
            pass
        await clock.sleep(LOOK_SECONDS)


async def _open_sessions(engine: Engine) -> list[str]:
    items = await read_whole(engine.tables, sessions.all_sessions())
    return [item["sk"] for item in items if not sessions.is_dead(item)]


async def bury_sessions(engine: Engine, names: Sequence[str], clock: Clock) -> None:
    """Told of once: a batch may name an item only once, too."""
    writes: list[Write] = [*map(sessions.bury_session, names), *map(sessions.tell_of_burial, names[-1:])]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MOURN_SECONDS_MAX):
            await _write(engine, writes, clock)


async def _write(engine: Engine, writes: Sequence[Write], clock: Clock) -> None:
    """Repeated until it is done: the store may be away for a moment. All these writes may be repeated."""
    for start in range(0, len(writes), BATCH_ITEMS_MAX):
        while True:
            try:
                await engine.tables.write(writes[start : start + BATCH_ITEMS_MAX])
                break
            except Retryable:
                await clock.sleep(LOOK_SECONDS)


async def _ready(wish: Wish, engine: Engine, supervisor: Supervisor, clock: Clock) -> None:
    """The API answers, and every runner has opened its session, before which it announced its workflows."""
    async with httpx.AsyncClient(base_url=wish.address, trust_env=False) as client:
        while True:
            try:
                if (await client.get("/healthz")).is_success and await _all_runners(wish, engine, supervisor):
                    return
            except (httpx.TransportError, Retryable):
                pass
            await clock.sleep(LOOK_SECONDS)


async def _all_runners(wish: Wish, engine: Engine, supervisor: Supervisor) -> bool:
    names = supervisor.sessions()
    items = await engine.tables.get([sessions.session_key(name) for name in names]) if names else []
    return len(names) == wish.runners and not any(sessions.is_dead(item) for item in items)
