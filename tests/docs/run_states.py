"""Writes docs/run-states.md from the table of transitions: `python -m tests.docs.run_states`."""

from __future__ import annotations

from pathlib import Path

from penstock_backbone.records.runs import STATUS_OF_STATE, TERMINAL, TRANSITIONS, Transition

PAGE = Path(__file__).parents[2] / "docs/run-states.md"
HEADING = """# The states of a run

Generated from `TRANSITIONS` in `events/src/penstock_backbone/records/runs.py` by `python -m tests.docs.run_states`; a test
holds the page against the table. Each change of state has one service that may make it, and a condition that makes
it safe to repeat: whoever lost the answer finds its own earlier success in the item that the refusal returns.

| state | what frontends call it | |
|---|---|---|
"""
TABLE = """
| verb | from | to | who | only if |
|---|---|---|---|---|
"""


def render() -> str:
    states = [
        f"| `{state}` | {status} | {'terminal' if state in TERMINAL else ''} |"
        for state, status in STATUS_OF_STATE.items()
    ]
    return HEADING + "\n".join(states) + "\n" + TABLE + "\n".join(map(_row, TRANSITIONS)) + "\n"


def _row(transition: Transition) -> str:
    sources = ", ".join(f"`{source}`" if source else "nothing" for source in transition.sources)
    verb, target = f"`{transition.verb}`", f"`{transition.target}`"
    return f"| {verb} | {sources} | {target} | {transition.owner} | {transition.guard} |"


if __name__ == "__main__":
    PAGE.write_text(render())
