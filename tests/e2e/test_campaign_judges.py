"""A campaign of kills can fail: by what it finds, and by having nothing to judge."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.e2e import audit
from tests.e2e.campaign_load import AGAIN_SECONDS, Load
from tests.e2e.kill_campaign import LIMIT, Report
from tests.e2e.product import CLOCK, Product

from penstock_backbone.embedded.database import Database
from penstock_backbone.inventory import INVENTORY
from penstock_backbone.records.tokens import GRANT, RELEASE, Operation, head_key, token_key
from penstock_backbone.vocabulary import Item, Key

pytestmark = pytest.mark.anyio
GOOD = Report(wanted=10, kills=Counter(runner=9, api=1), runs=7, interrupted=3, most_held=LIMIT, unavailable=4)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (replace(GOOD, runs=0), "no run was accepted"),
        (replace(GOOD, interrupted=0), "no run was interrupted"),
        (replace(GOOD, kills=Counter(runner=9)), "9 kills and not 10"),
        (replace(GOOD, lost_slots=1), "1 slot lost"),
        (replace(GOOD, most_held=LIMIT + 1), f"{LIMIT + 1} held at once, with a limit of {LIMIT}"),
        (replace(GOOD, most_held=0), f"0 held at once, with a limit of {LIMIT}"),
        (replace(GOOD, refused=Counter({"POST was answered with 500": 2})), "POST was answered with 500 (2 times)"),
        (replace(GOOD, unfinished=["run_1"]), "run_1 did not succeed"),
        (replace(GOOD, broken=["run_1: two ends"]), "run_1: two ends"),
    ],
)
def test_whatever_is_wrong_is_told_and_alone_makes_it_bad(bad: Report, complaint: str) -> None:
    assert bad.complaints() == [complaint]
    assert not bad.is_good


def test_a_campaign_is_good_when_there_was_something_to_judge_and_all_of_it_was_right() -> None:
    assert GOOD.is_good
    assert f"at most {LIMIT} of {LIMIT} held at once" in GOOD.last_line()


class Answering(Product):
    """A product of which there is only what its API answers."""

    def __init__(self, folder: Path, status: int) -> None:
        super().__init__(folder)
        self._status = status

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.MockTransport(lambda _: httpx.Response(self._status))
        async with httpx.AsyncClient(base_url="http://penstock", transport=transport) as client:
            yield client


@pytest.mark.parametrize(("status", "refused"), [(503, set()), (500, {"POST was answered with 500"}),
                                                 (422, {"POST was answered with 422"})])  # fmt: skip
async def test_only_what_a_kill_explains_is_passed_over(tmp_path: Path, status: int, refused: set[str]) -> None:
    load = Load(Answering(tmp_path, status), "any")
    keeping = asyncio.create_task(load.keep())
    await CLOCK.sleep(AGAIN_SECONDS / 2)
    load.stop()
    await keeping
    assert load.runs == {}
    assert set(load.refused) == refused
    assert (load.unavailable > 0) == (not refused)


def decided(database: Database, *operations: Operation) -> None:
    changed(database, head_key(0), {"seq": 1, "cid": "", "pend": [list(operation[:3]) for operation in operations]})


def changed(database: Database, key: Key, item: Item) -> None:
    database.store(key, database.prepare(key, item), database.load(key))
    database.commit(1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with contextlib.closing(Database(tmp_path / "penstock.db", INVENTORY)) as database:
        yield database


def test_every_decision_is_followed_while_the_store_runs(tmp_path: Path, database: Database) -> None:
    decisions = audit.Decisions(tmp_path)
    decided(database, Operation(GRANT, "a", 1), Operation(GRANT, "b", 1))
    changed(database, token_key(0, "a"), {"st": "held"})
    decisions.follow()
    assert decisions.granted.most == 2
    decided(database, Operation(RELEASE, "a", 1), Operation(GRANT, "c", 1))
    decided(database, Operation(GRANT, "d", 1))
    decided(database, Operation(RELEASE, "b", 1), Operation(RELEASE, "c", 1))
    decisions.follow()
    assert decisions.granted.most == 3


def test_what_was_trimmed_before_it_was_followed_is_missed(tmp_path: Path, database: Database) -> None:
    decisions = audit.Decisions(tmp_path)
    for number in range(3):
        decided(database, Operation(GRANT, f"run {number}", 1))
    with contextlib.closing(sqlite3.connect(tmp_path / "penstock.db")) as connection:
        connection.execute("delete from feed where seq = 1")
        connection.commit()
    with pytest.raises(AssertionError, match="trimmed between 0 and 2"):
        decisions.follow()
