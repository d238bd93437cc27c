"""Writes docs/run-states.md from the table of transitions: `python -m tests.docs.run_states`."""

from __future__ import annotations

from pathlib import Path

from tests.docs import verb_table

from penstock_backbone.records.runs import STATUS_OF_STATE, TERMINAL
from penstock_backbone.records.transitions import TRANSITIONS, Transition

PAGE = Path(__file__).parents[2] / "docs/run-states.md"
HEADING = """# The states of a run

Generated from `TRANSITIONS` in `events/src/penstock_backbone/records/transitions.py` by `python -m tests.docs.run_states`; a test
holds the page against the table. Each change of state has one service that may make it, and a condition that makes
it safe to repeat: whoever lost the answer finds its own earlier success in the item that the refusal returns.

| state | what frontends call it | |
|---|---|---|
"""
TABLE = """
| verb | from | to | who | only if |
|---|---|---|---|---|
"""
VERBS = """
## What can be asked of a run

`POST /v1/projects/{id}/VERB`, in each state: the status of the answer and what becomes of the run, or why it is refused
(409, and 503 for `not queued yet`). The table is in `tests/docs/verb_table.py`, and each cell is tested against the API's
own decision. Asking again gives the same answer and writes nothing; `retry` of a run that an equal retry has got going again
answers 200. In these states the stage `draft` has finished and the stage `review` asks a question, where anything has begun.
`returning` is no state of its own: it marks a `queued` run whose new token is not made yet
([0013](decisions/0013-waiting-runs.md)), and which answers as any queued one.

"""


def render() -> str:
    states = [
        f"| `{state}` | {status} | {'terminal' if state in TERMINAL else ''} |"
        for state, status in STATUS_OF_STATE.items()
    ]
    changes = "\n".join(map(_row, TRANSITIONS))
    return HEADING + "\n".join(states) + "\n" + TABLE + changes + "\n" + VERBS + verb_table.render() + "\n"


def _row(transition: Transition) -> str:
    sources = ", ".join(f"`{source}`" if source else "nothing" for source in transition.sources)
    verb, target = f"`{transition.verb}`", f"`{transition.target}`" if transition.target else "the same"
    return f"| {verb} | {sources} | {target} | {transition.owner} | {transition.guard} |"


if __name__ == "__main__":
    PAGE.write_text(render())
