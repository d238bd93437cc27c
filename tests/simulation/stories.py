"""Checks each commit on a run (I3, I4, I6, I7), and that the bus tells each story in order (I7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from tests.simulation.machine import Process
from tests.simulation.sightings import Sightings
from tests.simulation.violations import Violation, demand
from tests.simulation.yields import yielded

from penstock_backbone.records.runs import CANCELLED, PAUSED, QUEUED, RUNNING, TERMINAL
from penstock_backbone.vocabulary import BusEntry, Item, Key
from penstock_runner.handlers.journal import YIELDED


class Stories:
    """`fence_of` gives the highest fence that a run was ever granted under."""

    def __init__(self, fence_of: Callable[[str], int], sightings: Sightings, facts_max: int) -> None:
        self._fence_of = fence_of
        self._facts_max = facts_max
        self._sightings = sightings
        self.runs: dict[str, Item] = {}

    def committed(self, key: Key, old: Item | None, new: Item | None, writer: Process | None) -> None:
        run = key.pk
        if new is None:
            raise Violation("I12", f"the run {run} was deleted")
        self.runs[run] = new
        if old is None:
            begins = new["state"] in (QUEUED, CANCELLED, PAUSED) and new["fence"] == 0
            demand(begins, "I2", f"the run {run} does not begin in the line")
            return
        added = [new["facts"][str(number)] for number in range(old["seq"] + 1, new["seq"] + 1)]
        retried = any(fact["t"] == "RunRetried" for fact in added)
        ended = old["state"] in TERMINAL and not retried
        demand(not ended, "I6", f"{run} was {old['state']} and is changed to {new['state']}")
        for fact in added:
            if (sighting := SEEN.get(fact["t"])) is not None:
                self._sightings.note(sighting)
        demand(new["fence"] >= old["fence"], "I3", f"the fence of {run} went from {old['fence']} to {new['fence']}")
        self._claimed(run, old, new, writer)
        self._told(run, old, new)
        self._worked(run, old, new, writer)
        if any(fact["t"] == "RunRequeued" and fact["d"]["reason"] == YIELDED for fact in added):
            self._sightings.note("a run yielded its slot")
            yielded(old, new)

    def _claimed(self, run: str, old: Item, new: Item, writer: Process | None) -> None:
        if "returning" in new and "returning" not in old:
            raised = new["fence"] == old["fence"] + 1
            demand(raised and old["state"] != RUNNING, "I3", f"{run} returns from {old['state']} under {new['fence']}")
        elif new["fence"] != old["fence"]:
            demand(old["state"] == QUEUED, "I4", f"the fence of {run} changed while it was {old['state']}")
            granted = self._fence_of(run)
            demand(new["fence"] <= granted, "I4", f"{run} has fence {new['fence']}; {granted} is the last granted")
        if old["state"] != RUNNING and new["state"] == RUNNING:
            demand(
                new["fence"] > old["fence"], "I4", f"{run} was claimed under {new['fence']}, which was used or revoked"
            )
            demand(
                new["fence"] == self._fence_of(run), "I4", f"{run} was claimed under {new['fence']}, an earlier grant"
            )
            if any("." in name for name in new["results"]):
                self._sightings.note("a list was taken up in the middle (51, 62)")
            owns = writer is not None and new["session"] in writer.sessions
            demand(owns, "I4", f"{run} was claimed for the session {new['session']} by somebody else")

    def _told(self, run: str, old: Item, new: Item) -> None:
        facts, before = new["facts"], old["facts"]
        demand(new["seq"] <= self._facts_max, "I16", f"{run} has {new['seq']} facts")
        demand(len(facts) == new["seq"] - 1, "I7", f"the facts of {run} have a gap before {new['seq']}")
        demand(
            all(facts.get(number) == fact for number, fact in before.items()), "I7", f"a fact of {run} was rewritten"
        )
        if new["seq"] != old["seq"]:
            demand(new["since"] == old["seq"] + 1, "I7", f"{run} says since {new['since']} after {old['seq']}")
            numbers = range(old["seq"] + 1, new["seq"] + 1)
            demand(all(str(number) in facts for number in numbers), "I7", f"the facts of {run} are numbered wrongly")
            added = [facts[str(number)] for number in numbers]
            if any(fact["d"].get("error") == "StoryTooLong" for fact in added):
                self._sightings.note("a story was full")
            if any(fact["d"].get("error") == "StageTimeout" for fact in added):
                self._sightings.note("a stage ran out of time (66)")
            done = _completed(old)
            again = [
                fact["d"]["stage"] for fact in added if fact["t"] == "StageCompleted" and fact["d"]["stage"] in done
            ]
            demand(not again, "I4", f"{run} says twice that {again} is completed")

    @staticmethod
    def _worked(run: str, old: Item, new: Item, writer: Process | None) -> None:
        """Whoever adds to a run in execution is the session that claimed it; a result is written once."""
        cleared = _cleared(old, new)
        results = new["results"]
        before = {name: result for name, result in old["results"].items() if name.partition(".")[0] not in cleared}
        for name, result in before.items():
            stage, is_item, _ = name.partition(".")
            joined = is_item and name not in results and stage in results and stage not in before
            demand(joined or results.get(name) == result, "I4", f"the result {name} of {run} was written a second time")
        if writer is None or not writer.name.startswith("runner") or old["state"] != RUNNING:
            demand(len(results) == len(before), "I4", f"a result of {run} was written by no owner")
            return
        demand(
            old["session"] in writer.sessions,
            "I4",
            f"{writer.name} wrote to {run}, which belongs to the session {old['session']}",
        )


SEEN = {
    "RunWaiting": "a run rested, waiting",
    "RunPaused": "a run was paused",
    "RunRetried": "a run was retried",
    "RunYieldRequested": "a run was asked to yield",
}


def _completed(run: Item) -> set[str]:
    """The stages that have finished, without those that a retry runs again."""
    done: set[str] = set()
    for number in range(2, run["seq"] + 1):
        fact = run["facts"][str(number)]
        if fact["t"] == "StageCompleted":
            done.add(fact["d"]["stage"])
        elif fact["t"] == "RunStarted":
            done -= set(fact["d"].get("cleared", ()))
    return done


def _cleared(old: Item, new: Item) -> set[str]:
    """The stage that a retry begins from, and what comes after it: the claim says which."""
    added = [new["facts"][str(number)] for number in range(old["seq"] + 1, new["seq"] + 1)]
    return {name for fact in added if fact["t"] == "RunStarted" for name in fact["d"].get("cleared", ())}


class Announced:
    """What the bus has said of each run: every event for the first time in its order, repetitions at any time.

    ProjectCreated travels from another table than the rest, so it may be said after the run's first facts.
    """

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.created: set[str] = set()

    def hear(self, entry: BusEntry) -> None:
        metadata: dict[str, Any] = msgspec.json.decode(entry.detail)["metadata"]
        run, number = metadata["run_id"], metadata["sequence"]
        if number == 1:
            self.created.add(run)
            return
        last = self.last.get(run, 1)
        demand(number <= last + 1, "I7", f"the bus said event {number} of {run} after {last}")
        self.last[run] = max(last, number)
