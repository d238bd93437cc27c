"""`make trust`: is a DynamoDB what our memory engine takes it for? Generated programs run on both, and every answer is
compared, to writes, transactions, reads and queries (of an index too), and every record of their streams.

    PENSTOCK_DYNAMODB_ENDPOINT=http://localhost:8000 make trust                          DynamoDB Local
    PENSTOCK_DYNAMODB_ENDPOINT=https://dynamodb.eu-central-1.amazonaws.com make trust    AWS, with your credentials

ARGS='--programs 1000' compares more; ARGS='--spare ministack' leaves out in which steps that emulator is known to be wrong.
It makes five scratch tables, named penstock-trust-…, paid by request, and deletes them in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from urllib.parse import urlsplit

from hypothesis import HealthCheck, given, settings
from tests.contract.contract_inventory import ALONG, CONTRACT, LATE, OTHERS, TELLING, TELLING_TOO, THINGS
from tests.contract.programs import Step, compare, programs
from tests.contract.spared import SPARED, Spare
from tests.contract.stream_programs import StreamStep, compare_streams, stream_programs

from penstock_backbone.aws.calls import Calls, Service
from penstock_backbone.aws.engine import AwsEngine, AwsSettings, connect
from penstock_backbone.aws.provision import create_tables
from penstock_backbone.errors import BackboneError, Retryable
from penstock_backbone.inventory import SESSIONS, Inventory
from penstock_backbone.system import SystemClock, SystemIds
from penstock_backbone.words import counted

VARIABLE = "PENSTOCK_DYNAMODB_ENDPOINT"
PROGRAMS_DEFAULT = 100
TABLES = (THINGS, OTHERS, SESSIONS, TELLING, TELLING_TOO)
SCRATCH = Inventory(
    tables=tuple(table for table in CONTRACT.tables if table.name in TABLES), queues=(), rules=(),
    consumers=tuple(consumer for consumer in CONTRACT.consumers if consumer.name in (ALONG, LATE)),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="trust", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--programs", type=int, default=PROGRAMS_DEFAULT, help=f"default: {PROGRAMS_DEFAULT}")
    parser.add_argument(
        "--spare", choices=tuple(SPARED), default="none",
        help="leave out the steps in which this emulator is known to be wrong (KNOWN_DIFFERENCES.md)",
    )  # fmt: skip
    wanted = parser.parse_args(arguments)
    endpoint = os.environ.get(VARIABLE, "").strip()
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
        sys.stderr.write(
            f"Set {VARIABLE} to the address of a DynamoDB, for example {VARIABLE}=http://localhost:8000.\n"
        )
        return 2
    try:
        differs = asyncio.run(_compared(endpoint, wanted.programs, SPARED[wanted.spare]))
    except Retryable:
        sys.stderr.write(f"Nobody answers as DynamoDB at {endpoint}: start it there, or correct {VARIABLE}.\n")
        return 2
    except BackboneError as error:
        sys.stderr.write(f"The DynamoDB at {endpoint} cannot be used: {error}.\n")
        return 2
    for difference in differs:
        sys.stdout.write(f"{difference}\n")
    sys.stdout.write(
        f"{counted(wanted.programs, 'program')} of writes, reads and queries and {wanted.programs} with their streams, "
        f"{counted(len(differs), 'difference')}\n"
    )
    return 1 if differs else 0


def settings_of(endpoint: str) -> AwsSettings:
    """Amazon's own addresses are asked as in production; any other as an emulator, which takes any credentials."""
    stack = SystemIds().new("penstock-trust").replace("_", "-").lower()
    host = urlsplit(endpoint).hostname or ""
    if host.endswith(".amazonaws.com"):
        region = host.removeprefix("dynamodb.").removesuffix(".amazonaws.com")
        return AwsSettings(stack, region)
    return AwsSettings.of(stack, endpoint)


async def _compared(endpoint: str, count: int, spared: Sequence[Spare]) -> list[str]:
    """The first difference of each sort of programs, made as small as it can be."""
    where = settings_of(endpoint)
    async with _scratch(where) as engine:
        loop = asyncio.get_running_loop()
        several = settings(
            max_examples=count, deadline=None, database=None, derandomize=True, print_blob=False,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip

        @several
        @given(program=programs)
        def answers_agree(program: list[Step]) -> None:
            asyncio.run_coroutine_threadsafe(compare(engine.tables, program, spared), loop).result()

        @several
        @given(program=stream_programs)
        def streams_agree(program: list[StreamStep]) -> None:
            """What one process leaves unread, a new one reads."""
            comparing = compare_streams(engine, program, another=lambda: connect(where, SCRATCH), spared=spared)
            asyncio.run_coroutine_threadsafe(comparing, loop).result()

        found = [await _difference(agree) for agree in (answers_agree, streams_agree)]
        return [difference for difference in found if difference is not None]


async def _difference(agree: Callable[[], None]) -> str | None:
    try:
        await asyncio.to_thread(agree)
    except AssertionError as difference:
        return "\n".join([str(difference), *getattr(difference, "__notes__", ())])
    return None


@contextlib.asynccontextmanager
async def _scratch(where: AwsSettings) -> AsyncIterator[AwsEngine]:
    calls = Calls(where)
    try:
        await create_tables(calls, where, SCRATCH, SystemClock())
        engine = await connect(where, SCRATCH)
        try:
            yield engine
        finally:
            await engine.close()
    finally:
        await _deleted(calls, [f"{where.stack}-{table.name}" for table in SCRATCH.tables])
        await calls.close()


async def _deleted(calls: Calls, names: Sequence[str]) -> None:
    for name in names:
        with contextlib.suppress(BackboneError):
            await calls.call(Service.TABLES, "delete_table", TableName=name)


if __name__ == "__main__":
    sys.exit(main())
