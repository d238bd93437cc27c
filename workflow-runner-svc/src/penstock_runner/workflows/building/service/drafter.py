"""A DraftingModel over a chat model: asks for one document at a time, and has what is wrong with an answer mended."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from penstock_backbone.ports import Chance, Clock
from penstock_runner.authoring import FinalError, UsageMeter
from penstock_runner.domain.plan import backoff_seconds
from penstock_runner.workflows.building.model import Assignment, DocumentModel, ModelBusy
from penstock_runner.workflows.building.service.chat import Busy, ChatModel, Question, Reply, Turn, Unusable
from penstock_runner.workflows.building.service.prices import Prices

REPAIRS_MAX = 2
"""Further rounds after an answer that cannot be used; then the stage's own attempts begin anew."""
TRIES_MAX = 4
BACKOFF_SECONDS_FIRST = 1.0
AFTER_SECONDS_MAX = 60.0
"""A service that wants more patience than this is left to the stage's next attempt."""
COMPLAINTS_MAX = 10
COMPLAINT_CHARS_MAX = 1500


class UnusableDraft(Exception):
    """The model's answers could not be mended; the stage is tried again, from the beginning."""


class ServiceDrafter:
    def __init__(self, chat: ChatModel, prices: Prices, clock: Clock, chance: Chance) -> None:
        self._chat = chat
        self._prices = prices
        self._clock = clock
        self._chance = chance

    @property
    def provenance(self) -> str:
        return f"drafted by {self._chat.name}"

    async def draft(self, assignment: Assignment[DocumentModel]) -> DocumentModel:
        """Raises FinalError when the service can never answer, ModelBusy and UnusableDraft when another try may help."""
        turns = [Turn("user", _request(assignment))]
        system = (
            f"{_text(__package__, 'system.md')}\n\n{_text(assignment.part.home, f'prompts/{assignment.part.stage}.md')}"
        )
        output = assignment.part.output.__name__
        complaints: list[str] = []
        for round_ in range(1 + REPAIRS_MAX):
            try:
                reply = await self._ask(Question(system, tuple(turns), output, _schema(assignment)))
            except Unusable as error:
                if round_ == 0:
                    raise FinalError(str(error)) from error
                # What it took before it does not take with an answer and a complaint: they are too long for it.
                raise UnusableDraft(f"{output} could not be mended. {error}") from error
            self._count(reply, assignment.usage)
            if reply.declined is not None:
                raise UnusableDraft(f"{self._chat.name} would not draft the {output}: {reply.declined:.500}")
            document, complaints = await self._read(assignment, reply)
            if document is not None:
                return document
            turns += [Turn("assistant", _said(reply)), Turn("user", _complaint(complaints))]
        raise UnusableDraft(f"{self._chat.name} did not give a usable {output}: {complaints[0]}")

    async def _ask(self, question: Question) -> Reply:
        for attempt in range(1, TRIES_MAX + 1):
            try:
                return await self._chat.ask(question)
            except Busy as error:
                wait = backoff_seconds(BACKOFF_SECONDS_FIRST, failures=attempt, chance=self._chance.random())
                wait = max(wait, error.after_seconds or 0.0)
                if attempt == TRIES_MAX or wait > AFTER_SECONDS_MAX:
                    raise ModelBusy(str(error)) from error
                await self._clock.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _count(self, reply: Reply, used: UsageMeter) -> None:
        if reply.input_tokens is None or reply.output_tokens is None:
            return
        cost = self._prices.microusd(self._chat.name, reply.input_tokens, reply.output_tokens, reply.cached_tokens)
        used.add(input_tokens=reply.input_tokens, output_tokens=reply.output_tokens, cost_microusd=cost)

    async def _read(
        self, assignment: Assignment[DocumentModel], reply: Reply
    ) -> tuple[DocumentModel | None, list[str]]:
        """The document, or everything that is wrong with the answer."""
        if not reply.complete:
            return None, ["The answer was cut off because it was too long: make it shorter."]
        try:
            found = _object_in(reply.text)
        except (ValueError, RecursionError) as error:
            return None, [f"It is not one JSON object: {error}."]
        try:
            document = assignment.part.output.model_validate(found | dict(assignment.facts))
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False, include_context=False, include_input=False)
            return None, [f"{'.'.join(map(str, error['loc'])) or 'The object'}: {error['msg']}." for error in errors]
        complaints = await assignment.check(document)
        return (None, complaints) if complaints else (document, [])


def _schema(assignment: Assignment[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = assignment.part.output.model_json_schema()
    schema["properties"] = {name: part for name, part in schema["properties"].items() if name not in assignment.facts}
    if "required" in schema:
        schema["required"] = [name for name in schema["required"] if name not in assignment.facts]
    return schema


def _text(package: str, path: str) -> str:
    return files(package).joinpath(*path.split("/")).read_text("utf-8").strip()


def _request(assignment: Assignment[Any]) -> str:
    """What the user wrote is data, marked as such: it describes a program, and gives no orders to the drafter."""
    given: dict[str, Any] = {
        "name": assignment.project.name,
        "requirement": assignment.project.requirement,
        "tags": list(assignment.project.tags),
        "earlier_documents": {
            kind.__name__: document.model_dump(mode="json") for kind, document in assignment.earlier.items()
        },
        "known": to_jsonable_python(assignment.facts),
    }
    text = json.dumps(given, ensure_ascii=False)
    return f"The project, as JSON:\n\n{text}\n\nAnswer with the one JSON object for {assignment.part.output.__name__}."


def _complaint(complaints: list[str]) -> str:
    shown = [f"- {complaint[:COMPLAINT_CHARS_MAX]}" for complaint in complaints[:COMPLAINTS_MAX]]
    return "\n".join(["This cannot be used:", *shown, "Answer with the whole corrected JSON object, and nothing else."])


def _said(reply: Reply) -> str:
    """A turn may not be empty; half an answer is not worth its tokens."""
    return (reply.text if reply.text.strip() else "(nothing)") if reply.complete else "(the beginning of an answer)"


def _object_in(text: str) -> dict[str, Any]:
    """Models like to think aloud before JSON, and to wrap it in fences and courtesies. Raises ValueError."""
    try:
        return _between_braces(text)
    except ValueError:
        _, end, rest = text.rpartition("</think>")
        if not end:
            raise
        return _between_braces(rest)


def _between_braces(text: str) -> dict[str, Any]:
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0 or end < begin:
        raise ValueError("there is no object in it")
    found: dict[str, Any] = json.loads(text[begin : end + 1])
    return found
