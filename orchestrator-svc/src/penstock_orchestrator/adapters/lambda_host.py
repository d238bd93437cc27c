"""The local host for the aws engine: it polls streams and queue as AWS would, and calls the Lambda functions.

Each function runs in a thread of its own, which is its container. Events have AWS's shapes, so that what is tested
on one machine is what runs in Lambda.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from penstock_backbone.aws.lambda_events import queue_event, stream_event
from penstock_backbone.aws.settings import Names
from penstock_backbone.engines import Engine, EngineSettings
from penstock_backbone.inventory import ADMISSION_QUEUE, DISPATCHER, INVENTORY, LIMITS_WATCHER, RELAY
from penstock_backbone.ports import Queues
from penstock_backbone.vocabulary import NotNow, StreamRecord
from penstock_orchestrator import lambdas
from penstock_orchestrator.bootstrap import Surroundings, stream_consumer, stream_duties
from penstock_orchestrator.handlers.records import Failure
from penstock_orchestrator.host import Duty, Host

MESSAGES_MAX = 10
"""The batch size of the queue's event source mapping."""
WAIT_SECONDS = 20.0
TICK_SECONDS = 1.0
"""The scheduler's tick is a minute, in which one invocation sweeps many times; here each of them is an invocation."""

LambdaHandler = Callable[[Mapping[str, Any], lambdas.Context], Any]


@dataclass(frozen=True, slots=True)
class LocalContext:
    """An invocation that has time for one round of everything."""

    function_name: str
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        return lambdas.SWEEP_REST_MILLISECONDS_MIN - 1


class LocalFunction:
    """One Lambda function with one container."""

    def __init__(self, name: str, handler: LambdaHandler, given: Surroundings) -> None:
        self._name = name
        self._handler = handler
        self._ids = given.ids
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __call__(self, event: Mapping[str, Any]) -> Any:
        context = LocalContext(self._name, self._ids.new("req"))
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._handler, event, context)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, lambdas.close)
        self._thread.shutdown(wait=False)


class RecordsToFunction:
    def __init__(self, function: LocalFunction, names: Names) -> None:
        self._function = function
        self._names = names

    async def __call__(self, records: Sequence[StreamRecord]) -> Failure | None:
        answer = await self._function(stream_event(records, self._names))
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        lowest = next((record.sequence for record in records if record.sequence in failed), None)
        reason = NotNow("the function reported it and counts it; its log has the reason")
        return None if lowest is None else Failure(lowest, reason)


class MessagesToFunction:
    def __init__(self, function: LocalFunction, queues: Queues, names: Names) -> None:
        self._function = function
        self._queues = queues
        self._names = names

    async def turn(self) -> None:
        """Messages that the function did not fail are deleted; the others come again after their visibility time."""
        messages = await self._queues.receive(ADMISSION_QUEUE, MESSAGES_MAX, WAIT_SECONDS)
        if not messages:
            return
        answer = await self._function(queue_event(messages, ADMISSION_QUEUE, self._names))
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        done = [message.receipt for message in messages if message.id not in failed]
        await self._queues.delete(ADMISSION_QUEUE, done)


def lambda_host(
    engine: Engine, settings: EngineSettings, given: Surroundings
) -> tuple[Host, Callable[[], Awaitable[None]]]:
    """The host, and what closes the functions' containers."""
    names = Names(settings.stack, INVENTORY)
    functions = {
        name: LocalFunction(name, handler, given)
        for name, handler in {
            RELAY: lambdas.relay_handler,
            DISPATCHER: lambdas.dispatch_handler,
            LIMITS_WATCHER: lambdas.limits_handler,
            "admission": lambdas.admission_handler,
            "sweep": lambdas.sweep_handler,
        }.items()
    }

    async def tick() -> None:
        await functions["sweep"]({})
        await given.clock.sleep(TICK_SECONDS)

    consumers = [
        stream_consumer(name, RecordsToFunction(functions[name], names), engine, given)
        for name in (RELAY, DISPATCHER, LIMITS_WATCHER)
    ]
    duties = [
        *stream_duties(consumers),
        Duty("admission", MessagesToFunction(functions["admission"], engine.queues, names).turn),
        Duty("sweep", tick),
    ]

    async def close() -> None:
        await asyncio.gather(*(function.close() for function in functions.values()))

    return Host(duties, [consumer.settle_done for consumer in consumers], given.clock, given.chance), close
