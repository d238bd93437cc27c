"""Wires the orchestrator: the one place that names its real parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock_backbone.engines import Engine, EngineSettings, open_engine
from penstock_backbone.inventory import DISPATCHER, INVENTORY, LIMITS_WATCHER, RELAY
from penstock_backbone.ports import Chance, Clock, Ids
from penstock_backbone.records.sessions import BURIALS
from penstock_backbone.system import SystemChance, SystemClock, SystemIds
from penstock_backbone.telemetry import Telemetry, start
from penstock_backbone.vocabulary import StreamRecord
from penstock_orchestrator.domain.hints import Hints, glance
from penstock_orchestrator.handlers import boards, reload, sweep
from penstock_orchestrator.handlers.admission import Admission
from penstock_orchestrator.handlers.admission_queue import AdmissionQueue
from penstock_orchestrator.handlers.aside import Aside
from penstock_orchestrator.handlers.boards import Boards
from penstock_orchestrator.handlers.dispatch import Dispatcher
from penstock_orchestrator.handlers.limits_watch import LimitsWatcher
from penstock_orchestrator.handlers.records import RecordHandler
from penstock_orchestrator.handlers.relay import Relay
from penstock_orchestrator.handlers.reload import Reload
from penstock_orchestrator.handlers.stream_consumer import StreamConsumer
from penstock_orchestrator.handlers.sweep import Sweep
from penstock_orchestrator.handlers.yields import Yields
from penstock_orchestrator.host import Duty, Host

if TYPE_CHECKING:
    from penstock_orchestrator.adapters.lambda_container import LambdaContainer

SERVICE = "penstock-orchestrator"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the machine gives: time, ids, chance, and where spans go."""

    clock: Clock
    ids: Ids
    chance: Chance
    telemetry: Telemetry


@dataclass(frozen=True, slots=True)
class Parts:
    """The orchestrator's work, whoever calls it: the local host, Lambda, or a test."""

    relay: Relay
    dispatcher: Dispatcher
    limits_watcher: LimitsWatcher
    admission: Admission
    reload: Reload
    sweep: Sweep
    boards: Boards
    yields: Yields
    aside: Aside

    @classmethod
    def on(cls, engine: Engine, given: Surroundings) -> Parts:
        admission = Admission(
            engine.tables, clock=given.clock, ids=given.ids, chance=given.chance, telemetry=given.telemetry
        )
        return cls(
            relay=Relay(engine.bus),
            dispatcher=Dispatcher(engine.queues),
            limits_watcher=LimitsWatcher(engine.queues),
            admission=admission,
            reload=Reload(admission.shards, given.clock),
            sweep=Sweep(engine.tables, engine.queues, admission.shards, admission.fleet, given.clock),
            boards=Boards(engine.tables, admission.shards, admission.durations, given.clock),
            yields=Yields(engine.tables, admission.shards, admission.limits, clock=given.clock, ids=given.ids),
            aside=Aside(engine.queues),
        )


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """One process of it. `close` after the host has left."""

    host: Host
    close: Callable[[], Awaitable[None]]


async def connect(environment: Mapping[str, str]) -> Orchestrator:
    """Raises BackboneError, with a sentence for people, when the engine cannot be opened or does not answer."""
    clock = SystemClock()
    settings = EngineSettings.from_environment(environment)
    engine = await open_engine(settings, clock)
    telemetry = start_telemetry(settings, environment)
    given = Surroundings(clock, SystemIds(), SystemChance(), telemetry)
    try:
        if settings.engine == "aws":
            from penstock_orchestrator.adapters.lambda_host import (  # noqa: PLC0415  # boto3 takes most of a second
                lambda_host,
            )

            host, end = lambda_host(engine, settings, given)
        else:
            parts = Parts.on(engine, given)
            await parts.admission.turn(Hints())
            host, end = direct_host(parts, engine, given), _nothing
    except BaseException:
        await engine.close()
        telemetry.shutdown()
        raise

    async def close() -> None:
        await end()
        await engine.close()
        telemetry.shutdown()

    return Orchestrator(host, close)


def start_telemetry(settings: EngineSettings, environment: Mapping[str, str]) -> Telemetry:
    """On AWS a local folder is not a place where anybody would look for spans."""
    store_path = settings.data / "spans.db" if settings.engine == "embedded" else None
    return start(SERVICE, store_path=store_path, otlp=bool(environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")))


def direct_host(parts: Parts, engine: Engine, given: Surroundings) -> Host:
    """Every duty calls its handler itself."""
    queue = AdmissionQueue(engine.queues, parts.admission, given.clock)

    async def sweep_turn() -> None:
        queue.hint(await parts.sweep.turn())
        await parts.yields.turn()
        await engine.watch.changed(BURIALS, sweep.EVERY_SECONDS)

    async def reload_turn() -> None:
        queue.hint(Hints(everything=parts.reload.is_due(every=0.0), limits=True))
        await given.clock.sleep(reload.EVERY_SECONDS)

    async def boards_turn() -> None:
        await parts.boards.due()
        await parts.boards.turn()
        await given.clock.sleep(boards.EVERY_SECONDS)

    def see(records: Sequence[StreamRecord]) -> None:
        """What the bus will say later, told at once: only the bus is relied on, but the idle path saves two round trips."""
        queue.hint(glance(records))

    consumers = [
        stream_consumer(RELAY, parts.relay, engine, given, see),
        stream_consumer(DISPATCHER, parts.dispatcher, engine, given),
        stream_consumer(LIMITS_WATCHER, parts.limits_watcher, engine, given, see),
    ]

    async def settle() -> None:
        await asyncio.gather(*(consumer.settle_done() for consumer in consumers))

    duties = [
        *stream_duties(consumers),
        Duty("admission hints", queue.receive),
        Duty("admission", queue.decide),
        Duty("admission done", queue.delete),
        Duty("sweep", sweep_turn),
        Duty("reload", reload_turn),
        Duty("boards", boards_turn),
    ]
    return Host(duties, [queue.delete_done, settle, parts.boards.turn], given.clock, given.chance)


def stream_consumer(
    name: str,
    handler: RecordHandler,
    engine: Engine,
    given: Surroundings,
    see: Callable[[Sequence[StreamRecord]], None] | None = None,
) -> StreamConsumer:
    return StreamConsumer(
        INVENTORY.consumer(name),
        handler,
        engine.streams,
        engine.queues,
        clock=given.clock,
        chance=given.chance,
        see=see,
    )


def stream_duties(consumers: Sequence[StreamConsumer]) -> list[Duty]:
    return [
        duty
        for consumer in consumers
        for duty in (
            Duty(f"{consumer.name} records", consumer.read),
            Duty(consumer.name, consumer.handle),
            Duty(f"{consumer.name} done", consumer.settle),
        )
    ]


def open_container(environment: Mapping[str, str]) -> LambdaContainer:
    """What one Lambda container keeps from its first invocation on."""
    from penstock_orchestrator.adapters.lambda_container import (  # noqa: PLC0415  # only Lambda needs it
        LambdaContainer,
    )

    return LambdaContainer(environment)


async def _nothing() -> None:
    """There is nothing else to end."""
