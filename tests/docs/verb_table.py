"""Every verb in every state: what the API answers, and what becomes of the run. The page and the tests are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from penstock_api.domain.wishes import (
    NOT_ASKED,
    NOT_OVER,
    NOT_QUEUED,
    OVER,
    Answer,
    Asked,
    Cancel,
    Done,
    Pause,
    Refusal,
    Resume,
    Retry,
    Signal,
    Verdict,
    Wish,
)
from penstock_backbone.records.runs import (
    CANCELLED,
    FAILED,
    PAUSED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    TIMED_OUT,
    WAITING,
    RunItem,
    WaitItem,
    end_run,
    fact,
)

if TYPE_CHECKING:
    from tests.api.world import World

UNQUEUED = "not queued yet"
STATES = (UNQUEUED, QUEUED, RUNNING, WAITING, PAUSED, SUCCEEDED, FAILED, CANCELLED, TIMED_OUT)

VERBS: Mapping[str, Wish] = {
    "cancel": Cancel("enough"),
    "pause": Pause("not now"),
    "resume": Resume(),
    "retry": Retry(),
    "retry from a stage": Retry("draft"),
    "approve": Answer(approved=True, stage="review"),
    "reject": Answer(approved=False, stage="review"),
    "signal": Signal("go", "true"),
}
"""In the table's states the stage `draft` has finished, where anything has begun, and `review` asks a question where the
run waits, rests or executes."""

DONE, ASKED = "200", "202"


class Cell(NamedTuple):
    """`answer`: a status, or the kind of a refusal. `becomes`: the run's state afterwards, where something is written."""

    verb: str
    state: str
    answer: str
    becomes: str = ""

    def answers(self, verdict: Verdict) -> bool:
        match verdict:
            case Done():
                return self.answer == DONE
            case Asked():
                return self.answer == ASKED
            case Refusal(kind=kind):
                return self.answer == kind


def _row(verb: str, *cells: tuple[str, str] | str) -> list[Cell]:
    """One for each state, in order; a single word is an answer that writes nothing."""
    pairs = [(cell, "") if isinstance(cell, str) else cell for cell in cells]
    return [Cell(verb, state, *pair) for state, pair in zip(STATES, pairs, strict=True)]


def _done(state: str) -> tuple[str, str]:
    return (DONE, state)


CELLS = [
    *_row("cancel", _done(CANCELLED), _done(CANCELLED), (ASKED, RUNNING), _done(CANCELLED), _done(CANCELLED), OVER, OVER, DONE, OVER),
    *_row("pause", _done(PAUSED), _done(PAUSED), (ASKED, RUNNING), _done(PAUSED), DONE, OVER, OVER, OVER, OVER),
    *_row("resume", DONE, DONE, DONE, DONE, _done(QUEUED), OVER, OVER, OVER, OVER),
    *_row("retry", NOT_OVER, NOT_OVER, NOT_OVER, NOT_OVER, NOT_OVER, OVER, _done(QUEUED), _done(QUEUED), _done(QUEUED)),
    *_row(
        "retry from a stage", NOT_OVER, NOT_OVER, NOT_OVER, NOT_OVER, NOT_OVER, _done(QUEUED), _done(QUEUED),
        _done(QUEUED), _done(QUEUED),
    ),
    *_row("approve", NOT_ASKED, NOT_ASKED, _done(RUNNING), _done(QUEUED), _done(PAUSED), OVER, OVER, OVER, OVER),
    *_row("reject", NOT_ASKED, NOT_ASKED, _done(RUNNING), _done(QUEUED), _done(PAUSED), OVER, OVER, OVER, OVER),
    *_row("signal", NOT_QUEUED, _done(QUEUED), _done(RUNNING), _done(WAITING), _done(PAUSED), OVER, OVER, OVER, OVER),
]  # fmt: skip


async def run_for(made: World, project_id: str, state: str) -> RunItem | None:
    """The project's run, brought into the state by the writes that lead there."""
    if state == UNQUEUED:
        return None
    run = await made.enqueue(project_id)
    if state == QUEUED:
        return run
    run = await made.claim(run)
    wait: WaitItem = {"k": "approval", "n": 1, "at": run["at"], "q": "Go?"}
    done = fact("StageCompleted", run["at"], stage="draft", attempt=1, duration_ms=1, output_bytes=2)
    run = await made.commit(run, done, results={"draft": "{}"}, waits={"review": {"approval:1": wait}})
    if state == RUNNING:
        return run
    told = fact("RunCancelled", run["at"] + 1, reason="enough")
    return await made.update(
        end_run(run, state=state, fence=run["fence"], seq=run["seq"], facts=[told], results={}, at=run["at"] + 1)
    )


def render() -> str:
    lines = [
        f"| | {' | '.join(f'`{state}`' if state != UNQUEUED else state for state in STATES)} |",
        "|---" * (len(STATES) + 1) + "|",
    ]
    for verb in VERBS:
        cells = [_text(cell) for cell in CELLS if cell.verb == verb]
        lines.append(f"| `{verb}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _text(cell: Cell) -> str:
    if cell.answer in (DONE, ASKED):
        return f"{cell.answer} → `{cell.becomes}`" if cell.becomes not in ("", cell.state) else cell.answer
    return cell.answer
