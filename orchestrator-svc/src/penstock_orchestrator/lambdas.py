"""The orchestrator's Lambda functions: the same handlers as on one machine, called with AWS's events.

Nothing is connected at import. A container opens its engine at its first invocation and keeps it; a container is
a thread here, because the local host runs several functions in one process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

from penstock_backbone.errors import BackboneError, Invalid, Retryable, TooLarge
from penstock_backbone.inventory import DISPATCHER, INVENTORY, LIMITS_WATCHER, RELAY, Consumer
from penstock_backbone.vocabulary import StreamRecord
from penstock_orchestrator.bootstrap import SERVICE, open_container
from penstock_orchestrator.domain.hints import Hints, read_hint
from penstock_orchestrator.handlers.records import Failure, RecordHandler

if TYPE_CHECKING:
    from penstock_orchestrator.adapters.lambda_container import LambdaContainer

SWEEP_EVERY_SECONDS = 2.0
"""The scheduler calls once a minute at most, so one invocation sweeps for most of that minute."""
SWEEP_REST_MILLISECONDS_MIN = 8_000
"""What must be left of the invocation for one more sweep."""
ADMISSION_REST_MILLISECONDS_MIN = 4_000
"""What must be left for one more turn."""

logger = Logger(service=SERVICE)
_kept = threading.local()


class Context(Protocol):
    """What we use of Lambda's context object."""

    @property
    def function_name(self) -> str: ...
    @property
    def aws_request_id(self) -> str: ...
    def get_remaining_time_in_millis(self) -> int: ...


def relay_handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    container = _container(context)
    return _consume(container, RELAY, container.parts.relay, event)


def dispatch_handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    container = _container(context)
    return _consume(container, DISPATCHER, container.parts.dispatcher, event)


def limits_handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    container = _container(context)
    return _consume(container, LIMITS_WATCHER, container.parts.limits_watcher, event)


def admission_handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Messages that cannot be read, and those of projects that cannot be enqueued, stay for the DLQ."""
    container = _container(context)
    hints, projects_of, failed = Hints(), dict[str, set[str]](), set[str]()
    for message in container.messages(event):
        found = read_hint(message.body)
        if found is None:
            logger.error("a message cannot be read", body=message.body[:200])
            failed.add(message.id)
        else:
            projects_of[message.id] = set(found.projects)
            hints.merge(found)
    # Another container may have enqueued what this one has not heard of, and that moves no head.
    hints.everything = True
    damaged = container.run(_admit(container, hints, context))
    failed |= {message for message, projects in projects_of.items() if projects & damaged}
    return {"batchItemFailures": [{"itemIdentifier": message} for message in sorted(failed)]}


def sweep_handler(event: Mapping[str, Any], context: Context) -> None:
    del event
    container = _container(context)
    container.run(_sweep(container, context))


def close() -> None:
    """For a host that ends: Lambda itself just freezes its containers."""
    container: LambdaContainer | None = getattr(_kept, "container", None)
    if container is not None:
        del _kept.container
        container.close()


async def _admit(container: LambdaContainer, hints: Hints, context: Context) -> set[str]:
    damaged: set[str] = set()
    while True:
        turn = await container.parts.admission.turn(hints)
        damaged |= turn.damaged
        if turn.finished:
            break
        hints.everything = hints.limits = False
        if context.get_remaining_time_in_millis() < ADMISSION_REST_MILLISECONDS_MIN:
            raise Retryable("there is more to decide than fits one invocation: the same messages come again")
    await container.parts.boards.turn()
    return damaged


async def _sweep(container: LambdaContainer, context: Context) -> None:
    """All tokens are read only after somebody has decided, or when that is due anyhow: where thousands wait for runs that
    take an hour, an invocation every other second would read them all for nothing. A run that another container has
    enqueued moves no head, so they are read also when the runners serve something else than before, and once more in the
    next turn, for those that were on their way."""
    parts = container.parts
    is_new = False
    while True:
        if is_new or parts.reload.is_due() or await parts.admission.shards.have_moved():
            await _admit(container, Hints(everything=True), context)
        reported = await parts.sweep.turn()
        is_new = reported.runners
        if reported:
            reported.limits = True
            reported.everything |= is_new
            await _admit(container, reported, context)
        await parts.yields.turn()
        if context.get_remaining_time_in_millis() < SWEEP_REST_MILLISECONDS_MIN:
            return
        await container.clock.sleep(SWEEP_EVERY_SECONDS)


def _consume(container: LambdaContainer, name: str, handler: RecordHandler, event: Mapping[str, Any]) -> dict[str, Any]:
    """The batch restarts from the lowest failed record. An exception fails all of it, and AWS tries one half at a time."""
    failure = container.run(_handle(container, INVENTORY.consumer(name), handler, container.records(event)))
    if failure is None:
        return {"batchItemFailures": []}
    logger.error("a record failed", sequence=failure.sequence, reason=failure.reason)
    return {"batchItemFailures": [{"itemIdentifier": failure.sequence}]}


async def _handle(
    container: LambdaContainer, consumer: Consumer, handler: RecordHandler, records: Sequence[StreamRecord]
) -> Failure | None:
    """AWS counts no failures: it tries a batch until its records are too old, because an outage may take as long. So what is a
    record's own fault is counted here, and the ones after it get their turn."""
    while records:
        failure = await _failure(handler, records)
        if failure is None:
            return None
        place = next(place for place, record in enumerate(records) if record.sequence == failure.sequence)
        if not failure.counts:
            return failure
        if not await container.parts.aside.gives_up(consumer, records[place], failure.reason):
            return failure
        records = records[place + 1 :]
    return None


async def _failure(handler: RecordHandler, records: Sequence[StreamRecord]) -> Failure | None:
    """Raises what is no record's fault, and what is one's of which it is not known whose."""
    try:
        return await handler(records)
    except Exception as error:
        if len(records) > 1 or (isinstance(error, BackboneError) and not isinstance(error, TooLarge | Invalid)):
            raise
        logger.exception("a record breaks its handler")
        return Failure(records[0].sequence, f"{type(error).__name__}: {error}")


def _container(context: Context) -> LambdaContainer:
    logger.thread_safe_append_keys(function_name=context.function_name, function_request_id=context.aws_request_id)
    container: LambdaContainer | None = getattr(_kept, "container", None)
    if container is None:
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            copy_config_to_registered_loggers(source_logger=logger, ignore_log_level=True)
        container = _kept.container = open_container(os.environ)
    return container
