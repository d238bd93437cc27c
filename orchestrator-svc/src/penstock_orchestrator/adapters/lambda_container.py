"""What one Lambda container keeps between invocations: a loop, the engine, and the orchestrator's parts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from penstock_backbone.aws.lambda_events import queue_messages, stream_records
from penstock_backbone.aws.settings import Names
from penstock_backbone.engines import EngineSettings, open_engine
from penstock_backbone.inventory import INVENTORY
from penstock_backbone.system import SystemChance, SystemClock, SystemIds
from penstock_backbone.vocabulary import Message, StreamRecord
from penstock_orchestrator.bootstrap import Parts, Surroundings, start_telemetry

Answer = TypeVar("Answer")


class LambdaContainer:
    """Used by one thread. Its loop runs only while an invocation does."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        settings = EngineSettings.from_environment(environment)
        self.clock = SystemClock()
        self._runner = asyncio.Runner()
        self._names = Names(settings.stack, INVENTORY)
        self._engine = self._runner.run(open_engine(settings, self.clock))
        self._telemetry = start_telemetry(settings, environment)
        given = Surroundings(self.clock, SystemIds(), SystemChance(), self._telemetry)
        self.parts = Parts.on(self._engine, given)

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self._runner.run(work)

    def records(self, event: Mapping[str, Any]) -> list[StreamRecord]:
        return stream_records(event, self._names)

    def messages(self, event: Mapping[str, Any]) -> list[Message]:
        return queue_messages(event)

    def close(self) -> None:
        self._runner.run(self._engine.close())
        self._runner.close()
        self._telemetry.shutdown()
