"""Blocking stages on the loop itself, for worlds where time and order are the test's own: no process, no thread."""

from __future__ import annotations

import hashlib
import inspect
import logging
from typing import Any

from penstock_events.facts import Artifact
from penstock_runner.authoring import OutputModel
from penstock_runner.domain.output import outputs_from, text_of
from penstock_runner.domain.raised import is_final
from penstock_runner.ports import Desk, Job, JobFailed


class InlineWorkers:
    """A stage takes no time here, so nothing can end it half-way. What it puts is stored when it has returned."""

    def near(self) -> None:
        """There is nothing to be kept warm."""

    async def run(self, job: Job, desk: Desk) -> bytes:
        desk.begin()
        return await self.answer(job, desk)

    @staticmethod
    async def answer(job: Job, desk: Desk) -> bytes:
        context = _Context(job, desk)
        try:
            run: Any = job.stage.run
            assert not inspect.iscoroutinefunction(run)
            output = text_of(run(context, *job.arguments), job.stage.output)
        except Exception as error:  # noqa: BLE001  # whatever the stage raises
            final = is_final(error, job.stage.final_errors)
            raise JobFailed(type(error).__name__, str(error), final=final) from None
        for name, data in context.put.items():
            await desk.put_artifact(name, data)
        return output


class _Context:
    def __init__(self, job: Job, desk: Desk) -> None:
        self._desk = desk
        self.put: dict[str, bytes] = {}
        self.run_id, self.project_id, self.tenant = job.run_id, job.project_id, job.tenant
        self.stage, self.attempt, self.project = job.stage.name, job.attempt, job.project
        self.idempotency_key = job.idempotency_key
        self.progress = desk.progress
        self.log = logging.LoggerAdapter(logging.getLogger("tests.inline"), {})
        self.usage = desk.usage

    def input_as(self, model: type[OutputModel]) -> OutputModel:
        return model.model_validate_json(self.project.input)

    def outputs_of(self, stage: str, model: type[OutputModel]) -> list[OutputModel]:
        return outputs_from(self._desk.output_text(stage), model)

    def output_of(self, stage: str, model: type[OutputModel]) -> OutputModel:
        return model.model_validate_json(self._desk.output_text(stage))

    def put_artifact(self, name: str, data: bytes) -> Artifact:
        self.put[name] = data
        return Artifact(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())

    def get_artifact(self, name: str, of: str | None = None) -> bytes:
        return self.put[name]
