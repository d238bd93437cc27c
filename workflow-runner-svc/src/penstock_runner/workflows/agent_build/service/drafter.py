"""A DraftingModel over a chat model: asks for one document at a time, and has what is wrong with an answer mended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from penstock_backbone.ports import Chance, Clock
from penstock_events.facts import Usage
from penstock_runner.authoring import FinalError
from penstock_runner.domain.plan import backoff_seconds
from penstock_runner.domain.usage import UsageTotal
from penstock_runner.workflows.agent_build.documents import Document, ProjectPlan, SourceFile
from penstock_runner.workflows.agent_build.model import Assignment, DocumentModel, Draft
from penstock_runner.workflows.agent_build.service.chat import Busy, ChatModel, Question, Reply, Turn, Unusable
from penstock_runner.workflows.agent_build.service.prices import Prices

REPAIRS_MAX = 2
"""Further rounds after an answer that cannot be used; then the stage's own attempts begin anew."""
TRIES_MAX = 4
BACKOFF_SECONDS_FIRST = 1.0
AFTER_SECONDS_MAX = 60.0
"""A service that wants more patience than this is left to the stage's next attempt."""
COMPLAINTS_MAX = 10
COMPLAINT_CHARS_MAX = 300
_OWN_FIELDS = frozenset({"requirement_sha256", "requirement_chars", "provenance"})
"""Of a plan: they are facts, which no model is asked for."""


class ModelBusy(Exception):
    """The service did not answer in time; the stage is tried again."""


class UnusableDraft(Exception):
    """The model's answers could not be mended; the stage is tried again, from the beginning."""


class ServiceDrafter:
    def __init__(self, chat: ChatModel, prices: Prices, clock: Clock, chance: Chance) -> None:
        self._chat = chat
        self._prices = prices
        self._clock = clock
        self._chance = chance

    async def draft(self, assignment: Assignment[DocumentModel]) -> Draft[DocumentModel]:
        """Raises FinalError when the service can never answer, ModelBusy and UnusableDraft when another try may help."""
        turns = [Turn("user", _request(assignment))]
        system = f"{_prompt('system')}\n\n{_prompt(assignment.stage)}"
        used = UsageTotal()
        complaints: list[str] = []
        for _ in range(1 + REPAIRS_MAX):
            question = Question(system, tuple(turns), assignment.output.__name__, _schema(assignment.output))
            reply = await self._ask(question)
            self._count(reply, used)
            document, complaints = self._read(assignment, reply)
            if document is not None:
                return Draft(document, Usage(**used.total) if used.total else None)
            turns += [Turn("assistant", reply.text or "(nothing)"), Turn("user", _complaint(complaints))]
        raise UnusableDraft(f"{self._chat.name} did not give a usable {assignment.output.__name__}: {complaints[0]}")

    async def _ask(self, question: Question) -> Reply:
        for attempt in range(1, TRIES_MAX + 1):
            try:
                return await self._chat.ask(question)
            except Unusable as error:
                raise FinalError(str(error)) from error
            except Busy as error:
                wait = backoff_seconds(BACKOFF_SECONDS_FIRST, failures=attempt, chance=self._chance.random())
                wait = max(wait, error.after_seconds or 0.0)
                if attempt == TRIES_MAX or wait > AFTER_SECONDS_MAX:
                    raise ModelBusy(str(error)) from error
                await self._clock.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _count(self, reply: Reply, used: UsageTotal) -> None:
        if reply.input_tokens is None or reply.output_tokens is None:
            return
        cost = self._prices.microusd(self._chat.name, reply.input_tokens, reply.output_tokens)
        used.add(input_tokens=reply.input_tokens, output_tokens=reply.output_tokens, cost_microusd=cost)

    def _read(self, assignment: Assignment[DocumentModel], reply: Reply) -> tuple[DocumentModel | None, list[str]]:
        """The document, or everything that is wrong with the answer."""
        if not reply.complete:
            return None, ["The answer was cut off because it was too long: make it shorter."]
        try:
            found = json.loads(_object_in(reply.text))
        except ValueError as error:
            return None, [f"It is not one JSON object: {error}."]
        if issubclass(assignment.output, ProjectPlan):
            found |= self._facts(assignment)
        try:
            document = assignment.output.model_validate(found)
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False, include_context=False, include_input=False)
            return None, [f"{'.'.join(map(str, error['loc'])) or 'The object'}: {error['msg']}." for error in errors]
        complaints = list(_faults(document, assignment))
        return (None, complaints) if complaints else (document, [])

    def _facts(self, assignment: Assignment[Any]) -> dict[str, Any]:
        text = assignment.project.requirement
        return {
            "requirement_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "requirement_chars": len(text),
            "provenance": f"drafted by {self._chat.name}",
        }


def _schema(output: type[Document]) -> dict[str, Any]:
    schema = output.model_json_schema()
    if issubclass(output, ProjectPlan):
        schema["properties"] = {name: part for name, part in schema["properties"].items() if name not in _OWN_FIELDS}
        schema["required"] = [name for name in schema["required"] if name not in _OWN_FIELDS]
    return schema


def _prompt(name: str) -> str:
    return files(__package__).joinpath("prompts", f"{name}.md").read_text("utf-8").strip()


def _request(assignment: Assignment[Any]) -> str:
    """What the user wrote is data, marked as such: it describes a program, and gives no orders to the drafter."""
    given: dict[str, Any] = {
        "name": assignment.project.name,
        "requirement": assignment.project.requirement,
        "tags": list(assignment.project.tags),
        "earlier_documents": {
            kind.__name__: document.model_dump(mode="json") for kind, document in assignment.earlier.items()
        },
    }
    text = json.dumps(given, ensure_ascii=False)
    return f"The project, as JSON:\n\n{text}\n\nAnswer with the one JSON object for {assignment.output.__name__}."


def _complaint(complaints: list[str]) -> str:
    shown = [f"- {complaint[:COMPLAINT_CHARS_MAX]}" for complaint in complaints[:COMPLAINTS_MAX]]
    return "\n".join(["This cannot be used:", *shown, "Answer with the whole corrected JSON object, and nothing else."])


def _object_in(text: str) -> str:
    """Models like to wrap JSON in fences and courtesies. Raises ValueError."""
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0 or end < begin:
        raise ValueError("there is no object in it")
    return text[begin : end + 1]


def _faults(document: Document, assignment: Assignment[Any]) -> Iterator[str]:
    """What a schema cannot say: where files may be, and that Python files parse."""
    drafted: tuple[SourceFile, ...] = getattr(document, "files", ())
    if not drafted:
        return
    package = assignment.document(ProjectPlan).package
    places = {
        "tools_developer": (f"{package}/tools/", "tests/test_"),
        "prompt_engineer": (f"{package}/prompts/",),
        "agent_code_developer": (f"{package}/", "tests/test_", "README.md"),
    }[assignment.stage]
    for file in drafted:
        if not file.path.startswith(places):
            yield f"The file {file.path!r} must be in one of {', '.join(places)}."
        if file.path.endswith(".py") and (broken := _broken(file)):
            yield f"The file {file.path!r} cannot be parsed: {broken}."


def _broken(file: SourceFile) -> str | None:
    try:
        compile(file.text, file.path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return str(error)
    return None
