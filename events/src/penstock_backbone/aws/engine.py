"""The aws engine: the ports over DynamoDB, DynamoDB Streams, EventBridge, SQS and S3."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_backbone.aws.blobs import AwsBlobs
from penstock_backbone.aws.bus import AwsBus
from penstock_backbone.aws.calls import Calls
from penstock_backbone.aws.errors import Absent
from penstock_backbone.aws.patience import Patience
from penstock_backbone.aws.provision import unreachable
from penstock_backbone.aws.queues import EMULATOR_LONG_POLL_SECONDS_MAX, LONG_POLL_SECONDS_MAX, AwsQueues
from penstock_backbone.aws.settings import AwsSettings, Names
from penstock_backbone.aws.streams import CLOUD_PACE, EMULATOR_PACE, AwsStreams
from penstock_backbone.aws.tables import AwsTables
from penstock_backbone.aws.wakeups import Wakeups
from penstock_backbone.aws.watch import AwsWatch
from penstock_backbone.errors import Fatal, Retryable
from penstock_backbone.inventory import INVENTORY, SESSIONS, Inventory
from penstock_backbone.ports import Chance, Clock, Ids
from penstock_backbone.system import SystemChance, SystemClock, SystemIds
from penstock_backbone.vocabulary import Key

__all__ = ["AwsEngine", "AwsSettings", "connect"]

_PROBE = Key(SESSIONS, "PROBE", "PROBE")
"""Never written. Every service may read the sessions table, so reading it needs no further right."""


@dataclass(frozen=True, slots=True)
class AwsEngine:
    tables: AwsTables
    streams: AwsStreams
    bus: AwsBus
    queues: AwsQueues
    blobs: AwsBlobs
    watch: AwsWatch
    calls: Calls

    async def close(self) -> None:
        await self.watch.close()
        await self.calls.close()


async def connect(
    settings: AwsSettings,
    inventory: Inventory = INVENTORY,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    chance: Chance | None = None,
) -> AwsEngine:
    """Asks the endpoint once, so that a wrong address, stack or credential is told at the start (Fatal)."""
    engine = assemble(
        settings,
        inventory,
        clock=clock or SystemClock(),
        ids=ids or SystemIds(),
        chance=chance or SystemChance(),
        # The emulator applies PartiQL updates and leaves no record of them on the stream.
        in_statements=not settings.is_emulator,
    )
    try:
        await engine.tables.get([_PROBE])
    except BaseException as error:
        await engine.close()
        match error:
            case Retryable():
                raise unreachable(settings) from error
            case Absent():
                raise Fatal(
                    f"there is no stack {settings.stack!r} at {settings.endpoint_url or settings.region}: "
                    "create its resources first or correct PENSTOCK_STACK"
                ) from error
            case _:
                raise
    return engine


def assemble(
    settings: AwsSettings, inventory: Inventory, *, clock: Clock, ids: Ids, chance: Chance, in_statements: bool
) -> AwsEngine:
    """The engine without a question to the endpoint. `in_statements`: see AwsTables."""
    calls = Calls(settings)
    names = Names(settings.stack, inventory)
    patience = Patience(clock, chance)
    wakeups = Wakeups(inventory)
    tables = AwsTables(
        calls, names, inventory, patience=patience, ids=ids, wakeups=wakeups, in_statements=in_statements
    )
    pace = EMULATOR_PACE if settings.is_emulator else CLOUD_PACE
    long_poll = EMULATOR_LONG_POLL_SECONDS_MAX if settings.is_emulator else LONG_POLL_SECONDS_MAX
    return AwsEngine(
        tables=tables,
        streams=AwsStreams(calls, tables, names, inventory, clock=clock, pace=pace, wakeups=wakeups),
        bus=AwsBus(calls, names),
        queues=AwsQueues(calls, names, inventory, clock, long_poll),
        blobs=AwsBlobs(calls, names, patience),
        watch=AwsWatch(tables, clock),
        calls=calls,
    )
