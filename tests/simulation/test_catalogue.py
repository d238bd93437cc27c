"""The catalogue of faults is whole, its page says what it says, and what it counts is counted."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.simulation.catalogue import CATALOGUE, PAGE, REACHABLE, as_markdown, reached
from tests.simulation.plan import KINDS, OF_SHARDS
from tests.simulation.sightings import LATE, SITUATIONS, Sightings

from penstock_backbone.inventory import PROJECTS
from penstock_backbone.records.runs import CANCELLED, run_key
from penstock_backbone.records.tokens import GRANT, HELD, WAITING, Operation, apply_operation, create_head
from penstock_backbone.vocabulary import Cancelled, Key, Outcome, Put, Refused, Write

ROOT = Path(__file__).parents[2]


def test_every_fault_is_there_once() -> None:
    assert [known.number for known in CATALOGUE] == list(range(1, 91))


def test_the_page_says_what_the_table_says() -> None:
    """When this fails: `python -m tests.simulation.catalogue`."""
    assert PAGE.read_text(encoding="utf-8") == as_markdown()


def test_what_the_simulation_must_meet_is_what_it_counts() -> None:
    assert {what for known in CATALOGUE for what in known.met} - {*KINDS, *OF_SHARDS, *SITUATIONS} == set()


def test_every_other_fault_says_what_shows_it_and_what_it_names_exists() -> None:
    others = [known.elsewhere for known in CATALOGUE if not known.met]
    assert all(others)
    named = {path for text in others for path in re.findall(r"(?:tests|docs)/[\w/.]+\w", text)}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_a_fault_is_reached_when_all_its_signs_are() -> None:
    signs = ("a late enqueue was refused after the run's end (37)", "a consumer moved to another process (14, 26)")
    assert [known.number for known in reached(dict.fromkeys(signs, 1))] == [37]
    assert len(reached(dict.fromkeys((*KINDS, *OF_SHARDS, *SITUATIONS), 1))) == len(REACHABLE)


def test_the_signs_of_late_killed_and_frozen_calls_are_of_those_calls() -> None:
    """Any late write beside any refused apply would otherwise count as an apply that came late."""
    apply = apply_operation(0, Operation(GRANT, "acme#3#run", 2))
    next_turn, same_turn = ({"st": st, "f": fence} for st, fence in ((WAITING, 2), (HELD, 2)))
    late = "a late apply was refused in the token's next turn (36)"
    assert seen([apply], [Refused(next_turn)], how=LATE)[late] == 1
    assert seen([apply], [Refused(None)], how=LATE)[late] == 1
    assert seen([apply], [Refused(same_turn)], how=LATE)[late] == 0
    assert seen([apply], [Refused(next_turn)])[late] == 0
    assert seen([create_head(0)], [Refused({"seq": 1, "cid": "", "pend": []})], how=LATE) == {}


def test_only_an_enqueue_finds_itself_done_already() -> None:
    key = Put(Key(PROJECTS, "acme", "a key"), {})
    enqueue = Put(run_key("run"), {})
    ended = Cancelled((Refused({"state": CANCELLED}), None))
    sightings = Sightings()
    sightings.transaction([key, key], ended, LATE)
    assert sightings.counts == {}
    sightings.transaction([enqueue, key], ended)
    assert sightings.counts == {"an enqueue found itself done already (14, 37)": 1}
    sightings.transaction([enqueue, key], ended, LATE)
    assert sightings.counts["a late enqueue was refused after the run's end (37)"] == 1
    assert sightings.counts["a late enqueue was refused after the run was cancelled (6)"] == 1


def seen(writes: list[Write], outcomes: list[Outcome], how: str = "") -> Counter[str]:
    sightings = Sightings()
    sightings.writes(writes, outcomes, "orchestrator-1", how)
    return sightings.counts
