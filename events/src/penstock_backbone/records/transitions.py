"""Every change of a run's state: who may make it, from where to where, and only if what. docs/run-states.md shows it."""

from __future__ import annotations

from typing import NamedTuple

from penstock_backbone.records.runs import (
    CANCELLED,
    FAILED,
    PAUSED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    TERMINAL,
    TIMED_OUT,
    WAITING,
)

RETURNING = "returning"
"""Queued, and the token that it needs is not made yet: whatever is true of a queued run is true of it, too."""
IDLE = (QUEUED, WAITING, PAUSED)


class Transition(NamedTuple):
    """`sources` "" is a run that does not exist."""

    verb: str
    sources: tuple[str, ...]
    target: str
    owner: str
    guard: str


TRANSITIONS = (
    Transition("enqueue", ("",), QUEUED, "orchestrator", "no run under this id; in one transaction with its token"),
    Transition("claim", (QUEUED,), RUNNING, "runner", "the granted fence is above the run's"),
    Transition("commit", (RUNNING,), RUNNING, "runner", "same fence, same sequence"),
    Transition("succeed", (RUNNING,), SUCCEEDED, "runner", "same fence, same sequence"),
    Transition("fail", (RUNNING,), FAILED, "runner", "same fence, same sequence"),
    Transition("time_out", (RUNNING,), TIMED_OUT, "runner", "same fence, same sequence; its workflow's time is over"),
    Transition("rest", (RUNNING,), WAITING, "runner", "same fence, same sequence; in one transaction with its timer"),
    Transition("pause_reached", (RUNNING,), PAUSED, "runner", "same fence, same sequence; it was asked for"),
    Transition("hand_back", (RUNNING,), QUEUED, "runner", "same fence, same sequence; its process ends, or it yields"),
    Transition("fence_off", (RUNNING,), QUEUED, "orchestrator", "same fence and sequence; its session is dead"),
    Transition("leave_to_hook", (RUNNING,), QUEUED, "orchestrator", "as give_up, where its workflow has an on_failure"),
    Transition("give_up", (RUNNING,), FAILED, "orchestrator", "as fence_off, at the last permitted attempt"),
    Transition("revoke", (QUEUED,), QUEUED, "orchestrator", "the granted fence is above the run's; nobody claimed it"),
    Transition(
        "ask_to_yield", (RUNNING,), RUNNING, "orchestrator", "same fence and sequence; nothing was decided since"
    ),
    Transition("wake", (WAITING,), QUEUED, "orchestrator", "same sequence; its time has come"),
    Transition("make_token", (RETURNING,), QUEUED, "orchestrator", "in one transaction with its new token"),
    Transition("cancel", IDLE, CANCELLED, "api", "same sequence; its token is withdrawn or freed afterwards"),
    Transition("cancel_unqueued", ("",), CANCELLED, "api", "no run under this id, so it will never be enqueued"),
    Transition("ask_to_cancel", (RUNNING,), RUNNING, "api", "same fence, same sequence"),
    Transition("stop", (RUNNING,), CANCELLED, "runner", "same fence, same sequence; it was asked for"),
    Transition("stop_lost", (RUNNING,), CANCELLED, "orchestrator", "as fence_off; it was asked for"),
    Transition("pause", (QUEUED, WAITING), PAUSED, "api", "same sequence; its token is withdrawn or freed afterwards"),
    Transition("pause_unqueued", ("",), PAUSED, "api", "no run under this id, so it is not enqueued by itself"),
    Transition("ask_to_pause", (RUNNING,), RUNNING, "api", "same fence, same sequence"),
    Transition("pause_lost", (RUNNING,), PAUSED, "orchestrator", "as fence_off; it was asked for"),
    Transition("resume", (PAUSED,), QUEUED, "api", "same sequence; it returns"),
    Transition("withdraw_pause", (RUNNING,), RUNNING, "api", "same fence, same sequence"),
    Transition(
        "answer", (QUEUED, RUNNING, WAITING, PAUSED), "", "api", "same sequence; nobody waits for it yet, or not here"
    ),
    Transition("answer_waited_for", (WAITING,), QUEUED, "api", "same sequence; it returns"),
    Transition("retry", tuple(sorted(TERMINAL)), QUEUED, "api", "same sequence; it returns"),
)
"""`target` "": the state stays as it is."""
