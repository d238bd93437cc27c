"""What somebody wants of a project's run, and what comes of it in each state: a write, or an answer without one.

docs/run-states.md shows the whole table; it is generated from `comes_of`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from penstock_backbone.records import verbs
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import (
    CANCELLED,
    FACTS_MAX,
    PAUSED,
    RUNNING,
    SUCCEEDED,
    TERMINAL,
    FactItem,
    RunItem,
    answers_needed,
    fact,
)
from penstock_backbone.records.waits import ANSWERS_MAX, APPROVAL, SIGNAL, answer_key, open_waits
from penstock_backbone.vocabulary import Write

ITEM_MARK = "."
"""In the name of a result: it is an item's of an unfinished stage."""
FACTS_KEPT = 100
"""A run whose story has no room for so many more facts is neither paused nor begun anew."""
WISHED_BYTES_MAX = 256 * 1024
"""Nor is one whose item is larger: what its runner adds, and its end, must find room."""
ANSWERED_BYTES_MAX = 320 * 1024
"""A run whose item is larger takes no more answers: its runner adds nothing to it either, except its end."""


@dataclass(frozen=True, slots=True)
class Cancel:
    reason: str


@dataclass(frozen=True, slots=True)
class Pause:
    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    pass


@dataclass(frozen=True, slots=True)
class Retry:
    """`edited`: what replaces the project's `requirement` and `input` (JSON text)."""

    from_stage: str | None = None
    edited: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The same for two requests that want the same."""
        wanted = [self.from_stage, sorted(self.edited.items())]
        return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Answer:
    """To the question of a stage. `wait` is needed when the stage asks several."""

    approved: bool
    stage: str
    wait: str | None = None
    by: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """`text` is JSON."""

    name: str
    text: str


Wish: TypeAlias = Cancel | Pause | Resume | Retry | Answer | Signal


@dataclass(frozen=True, slots=True)
class Done:
    """It is so, by this request or before."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whoever executes the run will do it, and nothing else can become of it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """`kind` is a word for programs, `why` a sentence for people."""

    kind: str
    why: str


OVER, NOT_OVER, NOT_ASKED, ANSWERED, FULL = "over", "not over", "not asked", "answered before", "full"
NOT_FINISHED, NOT_QUEUED = "not finished", "not queued yet"

Verdict: TypeAlias = Done | Asked | Refusal


@dataclass(frozen=True, slots=True)
class Step:
    """`verdict` is the answer once `write` has succeeded."""

    write: Write
    verdict: Verdict


def comes_of(wish: Wish, project: ProjectItem, run: RunItem | None, now: int) -> Step | Verdict:
    """`run` None: it was not enqueued yet. `now` in ms. Repeating a wish gives the same answer and writes nothing."""
    match wish:
        case Cancel(reason):
            return _cancel(project, run, reason, now)
        case Pause(reason):
            return _pause(project, run, reason, now)
        case Resume():
            return _resume(run, now)
        case Retry():
            return _retry(wish, run, now)
        case Answer():
            return _answer(wish, run, now)
        case Signal():
            return _signal(wish, run, now)
        case _:
            assert_never(wish)


def _cancel(project: ProjectItem, run: RunItem | None, reason: str, now: int) -> Step | Verdict:
    if run is None:
        return Step(verbs.cancel_unqueued(project, reason=reason, at=now), Done())
    if run["state"] == CANCELLED:
        return Done()
    if run["state"] in TERMINAL:
        return _over(run, "there is nothing left to cancel")
    if run["state"] == RUNNING:
        return Asked() if "cancel" in run else Step(verbs.ask_to_cancel(run, reason=reason, at=now), Asked())
    return Step(verbs.cancel_waiting(run, reason=reason, at=now), Done())


def _pause(project: ProjectItem, run: RunItem | None, reason: str, now: int) -> Step | Verdict:
    if run is None:
        return Step(verbs.pause_unqueued(project, reason=reason, at=now), Done())
    if run["state"] == PAUSED:
        return Done()
    if run["state"] in TERMINAL:
        return _over(run, "there is nothing left to pause")
    if run["state"] == RUNNING and "cancel" in run:
        return Refusal(OVER, "The run is being cancelled: there is nothing left to pause.")
    if run["state"] == RUNNING and "pause" in run:
        return Asked()
    if _is_long(run):
        return Refusal(FULL, "The run's story is too long for another pause: let it go on, or cancel it.")
    if run["state"] != RUNNING:
        return Step(verbs.pause_resting(run, reason=reason, at=now), Done())
    return Step(verbs.ask_to_pause(run, reason=reason, at=now), Asked())


def _resume(run: RunItem | None, now: int) -> Step | Verdict:
    if run is None:
        return Done()
    if run["state"] in TERMINAL:
        return _over(run, "retry it to begin anew")
    if run["state"] == PAUSED:
        return Step(verbs.resume(run, at=now), Done())
    if run["state"] == RUNNING and "pause" in run and "cancel" not in run:
        return Step(verbs.withdraw_pause(run, at=now), Done())
    return Done()


def _retry(wish: Retry, run: RunItem | None, now: int) -> Step | Verdict:
    if run is None or run["state"] not in TERMINAL:
        if run is not None and run.get("retried") == wish.digest:
            return Done()
        return Refusal(NOT_OVER, "The run is not over: cancel it first, or wait for its end.")
    if wish.from_stage is None and run["state"] == SUCCEEDED:
        return _over(run, "name the finished stage to begin from")
    if wish.from_stage is not None and (wish.from_stage not in run["results"] or ITEM_MARK in wish.from_stage):
        return Refusal(NOT_FINISHED, f"The stage {wish.from_stage} has not finished: what is unfinished runs anyway.")
    if _is_long(run):
        return Refusal(FULL, "The run's story is too long to be continued: submit the project again.")
    write = verbs.retry(
        run, from_stage=wish.from_stage, edited=wish.edited, forget=_asked_again(run), digest=wish.digest, at=now
    )
    return Step(write, Done())


def _asked_again(run: RunItem) -> Iterable[str]:
    """The answers that the stage had been given with which the run failed: by one of them it may have failed."""
    last = run["facts"][str(run["seq"])]
    failed = last["d"].get("stage") if last["t"] == "RunFailed" else None
    return {
        answer_key(stage, key, wait)
        for stage, waits in run.get("waits", {}).items()
        if stage.partition(".")[0] == failed
        for key, wait in waits.items()
    }


def _answer(wish: Answer, run: RunItem | None, now: int) -> Step | Verdict:
    if run is not None and run["state"] in TERMINAL:
        return _over(run, "nothing is asked any more")
    asked = dict(_questions(wish, run))
    if not asked:
        items = ", ".join(_asking_items(wish.stage, run, now))
        instead = f" It is its items that ask: name one as the stage, of {items}." if items else ""
        return Refusal(NOT_ASKED, f"The stage {wish.stage} asks nothing that could be answered.{instead}")
    assert run is not None
    answers = run.get("answers", {})
    unanswered = [key for key in asked if asked[key] not in answers]
    if wish.wait is None and len(asked) > 1:
        return Refusal(
            NOT_ASKED, f"The stage {wish.stage} asks several questions: name the wait, one of {', '.join(asked)}."
        )
    if not unanswered:
        (place,) = asked.values()
        if json.loads(answers[place])["approved"] == wish.approved:
            return Done()
        return Refusal(ANSWERED, f"The question of the stage {wish.stage} was answered otherwise before.")
    (key,) = unanswered
    if not any(each.stage == wish.stage and each.key == key for each in open_waits(run, now)):
        return Refusal(NOT_ASKED, f"The stage {wish.stage} does not wait for an answer any more.")
    said = {"approved": wish.approved, "by": wish.by, "comment": wish.comment}
    told = fact("ApprovalAnswered", now, stage=wish.stage, wait=key, **said)
    return _kept(run, asked[key], json.dumps(said, ensure_ascii=False), APPROVAL, told)


def _asking_items(stage: str, run: RunItem | None, now: int) -> Iterable[str]:
    waits = open_waits(run, now) if run is not None else ()
    return dict.fromkeys(
        each.stage for each in waits if each.wait["k"] == APPROVAL and each.stage.startswith(f"{stage}{ITEM_MARK}")
    )


def _questions(wish: Answer, run: RunItem | None) -> Iterable[tuple[str, str]]:
    """By their keys: where the answer to each question of the stage stands."""
    waits = run.get("waits", {}).get(wish.stage, {}) if run is not None else {}
    for key, wait in waits.items():
        if wait["k"] == APPROVAL and wish.wait in (None, key):
            yield key, answer_key(wish.stage, key, wait)


def _signal(wish: Signal, run: RunItem | None, now: int) -> Step | Verdict:
    if run is None:
        return Refusal(
            NOT_QUEUED, "The project was accepted a moment ago, and its run cannot take signals yet: try again."
        )
    if run["state"] in TERMINAL:
        return _over(run, "nobody waits for signals any more")
    key = f"{SIGNAL}:{wish.name}"
    before = run.get("answers", {}).get(key)
    if before is not None:
        if before == wish.text:
            return Done()
        return Refusal(
            ANSWERED, f"The signal {wish.name} was sent with another value before, and the first one stands."
        )
    told = fact("SignalReceived", now, signal=wish.name, size=len(wish.text.encode()))
    return _kept(run, key, wish.text, SIGNAL, told)


def _kept(run: RunItem, key: str, text: str, kind: str, told: FactItem) -> Step | Verdict:
    kept = answers_needed(run)
    if len(kept) >= ANSWERS_MAX:
        hint = "signals stay as long as the run"
        if not all(each.startswith(f"{SIGNAL}:") for each in kept):
            hint = "try again once one of these stages has finished"
        return Refusal(
            FULL,
            f"A run can keep {ANSWERS_MAX} signals and answers to stages that have not finished, and it has them: {hint}.",
        )
    if _bytes(run) > ANSWERED_BYTES_MAX:
        return Refusal(FULL, "The run's story is too long for another answer: cancel it, and submit the project again.")
    at = told["at"]
    waited = any(answer_key(each.stage, each.key, each.wait) == key for each in open_waits(run, at))
    return Step(verbs.answer(run, key=key, text=text, told=told, wakes=kind if waited else None, at=at), Done())


def _is_long(run: RunItem) -> bool:
    """Nothing that people may do again and again is added to it."""
    return run["seq"] > FACTS_MAX - FACTS_KEPT or _bytes(run) > WISHED_BYTES_MAX


def _bytes(run: RunItem) -> int:
    return len(json.dumps(run, ensure_ascii=False).encode())


def _over(run: RunItem, hint: str) -> Refusal:
    state = run["state"].replace("_", " ")
    return Refusal(OVER, f"The run has {'been ' if state == CANCELLED else ''}{state} already: {hint}.")
