"""What the stages of a run wait for, and the timers of runs that go on by themselves.

    run_… / RUN                   {…, waits{stage: {key: {k, n, at, q?, until?}}}, answers{key: JSON text}, due?, passed?}
    TIMERS / <due>#<run>#<seq>    {run, due}
    TIMERS / returns#<run>#<seq>  {run, due}

A stage that waits begins anew when its wait is over, so its waits keep their keys: "timer:1", "signal:go", "approval:2",
"retry:3". An answer is never changed: a signal's has its own key, an approval's "<stage>/<key>". `due` is when the run
goes on by itself.
`passed` says which timers the orchestrator's clock has seen pass, so that a runner whose clock is behind does not wait
again. A timer is written in the transaction in which the run begins to wait, or returns, and names that moment by its `seq`.
That of a run that returns is due at once, whatever the clock of its writer says, and stands apart from those that have
a time, so that thousands of them are in nobody's way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from penstock_backbone.inventory import RUNS
from penstock_backbone.records.runs import RunItem, WaitItem
from penstock_backbone.vocabulary import Delete, Item, Key, Missing, Put, Query

TIMERS_PK = "TIMERS"
RETURNS_DUE = 0
"""Of a run that returns: the orchestrator's next look at the timers finds out whether it has its token, in case the hint
of it was lost."""
TIMES = "0"
"""What the keys of timers begin with that have a time: milliseconds of 15 digits."""
RETURNS = "returns#"
"""What the keys of those of runs that return begin with."""
TIMERS_READ_MAX = 50
"""Of each kind, in one turn; the others are still due in the next."""

TIMER = "timer"
SIGNAL = "signal"
APPROVAL = "approval"
RETRY = "retry"

SIGNAL_NAME_PATTERN = r"[a-z][a-z0-9_-]{0,39}"
ANSWER_BYTES_MAX = 2 * 1024
ANSWERS_MAX = 20
"""Signals of one run, and approvals of stages and items that have not finished."""
QUESTION_CHARS_MAX = 500
WAIT_SECONDS_MAX = 366 * 24 * 3600
COMMENT_CHARS_MAX = 500


class OpenWait(NamedTuple):
    stage: str
    key: str
    wait: WaitItem


def answer_key(stage: str, key: str, wait: WaitItem) -> str:
    """Where the answer to it stands."""
    return key if wait["k"] == SIGNAL else f"{stage}/{key}"


def is_over(stage: str, key: str, wait: WaitItem, answers: Mapping[str, str], now: int) -> bool:
    """`now` in ms: the later of the clock and the run's `passed`."""
    return wait.get("until", now + 1) <= now or answer_key(stage, key, wait) in answers


def open_waits(run: RunItem, now: int) -> Iterator[OpenWait]:
    """What would have to happen for each stage that waits to go on."""
    answers = run.get("answers", {})
    moment = max(now, run.get("passed", 0))
    for stage, waits in run.get("waits", {}).items():
        for key, wait in waits.items():
            if not is_over(stage, key, wait, answers, moment):
                yield OpenWait(stage, key, wait)


def timer_key(due: int, run_id: str, seq: int) -> Key:
    begins = RETURNS if due == RETURNS_DUE else f"{due:015d}#"
    return Key(RUNS, TIMERS_PK, f"{begins}{run_id}#{seq}")


def set_timer(run_id: str, *, due: int, seq: int) -> Put:
    """In one transaction with the write that ends at `seq`: the runner's, that lets the run wait; or the API's, by which it
    returns (RETURNS_DUE)."""
    return Put(timer_key(due, run_id, seq), {"run": run_id, "due": due}, when=Missing("pk"))


def first_timers(kind: str = TIMES, after: str | None = None) -> Query:
    """Those that are due first of TIMES, or of RETURNS; after the cursor of an earlier page, if there is one."""
    return Query(RUNS, TIMERS_PK, prefix=kind, limit=TIMERS_READ_MAX, cursor=after)


def forget_timer(timer: Item) -> Delete:
    """Orchestrator: its run was woken, or waits no longer, or for something else."""
    return Delete(Key(RUNS, TIMERS_PK, timer["sk"]))
