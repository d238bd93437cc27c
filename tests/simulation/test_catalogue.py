"""The catalogue of faults is whole, its page says what it says, and what it counts is counted."""

from __future__ import annotations

import re
from pathlib import Path

from tests.simulation.catalogue import CATALOGUE, PAGE, REACHABLE, as_markdown, reached
from tests.simulation.plan import KINDS, OF_SHARDS
from tests.simulation.sightings import SITUATIONS

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
    counts = dict.fromkeys(("late write", "an enqueue found itself done already (14, 37)"), 1)
    assert [known.number for known in reached(counts)] == [6, 37]
    assert len(reached(dict.fromkeys((*KINDS, *OF_SHARDS, *SITUATIONS), 1))) == len(REACHABLE)
