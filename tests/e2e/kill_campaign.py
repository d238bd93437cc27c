"""`make kills`: a product under load, whose processes are killed with -9 at random moments, one after another.

Most of those killed are runners. A seed decides who and when; what that meets depends on the machine. In the end every
run must have ended well, no finished stage may have begun again, and no slot may be held.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random  # noqa: TID251  # the campaign throws its own dice, always from a seed
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.e2e import audit
from tests.e2e.product import CLOCK, Product

from penstock_backbone.records.runs import RunItem, as_run, run_key, story
from penstock_backbone.records.tokens import all_tokens
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX
from penstock_backbone.words import counted

RUNNERS = 8
LIMIT = 8
OUTSTANDING = 24
"""Runs kept in the system: some wait, some run."""
PAUSE_SECONDS = (0.3, 0.9)
"""Between two kills."""
OTHERS_PART = 0.15
OTHERS = ("orchestrator", "api", "store")
QUICK_SECONDS = 5.5
"""The supervisor gives up a program that dies five times in a row sooner than this after its start."""
YOUNG_DEATHS_ONE_IN = 8
"""Of the processes, so that five in a row are as good as impossible."""
SETTLE_SECONDS_MAX = 180.0
SLOW_MS = 1000
SLOW_SHOWN_MAX = 5
BEFORE_MS = 1000
"""What happened so shortly before a death is shown with it."""


@dataclass(frozen=True, slots=True, order=True)
class Resumption:
    """From a runner's death until an interrupted run of it executes again, and the slot is in use."""

    ms: int
    run: str
    died_at: int


@dataclass(slots=True)
class Report:
    """`slow` tells, for the slowest resumptions, what happened meanwhile."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    interrupted: int = 0
    lost_slots: int = 0
    unfinished: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    resumed: list[Resumption] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return not (self.lost_slots or self.unfinished or self.broken)

    def last_line(self) -> str:
        times = sorted(each.ms for each in self.resumed)
        resumed = "nothing to resume"
        if times:
            p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
            resumed = f"resumed p50 {statistics.median(times):.0f} ms, p99 {p99} ms, max {times[-1]} ms"
        return (
            f"{counted(sum(self.kills.values()), 'kill')} ({self.kills['runner']} of runners), {counted(self.runs, 'run')}, "
            f"{counted(self.interrupted, 'interruption')}, {counted(self.lost_slots, 'lost slot')}, "
            f"{counted(len(self.broken), 'repeated stage')}, "
            f"{counted(len(self.unfinished), 'run')} that did not succeed, {resumed}, in {self.seconds:.0f} s"
        )


class Campaign:
    def __init__(self, product: Product, seed: int) -> None:
        self._product = product
        self._chance = random.Random(seed)
        self._ids: dict[str, str] = {}
        self._ended = 0
        self._stopping = False
        self._born: dict[int, float] = {}
        self._may_die_young: dict[int, bool] = {}
        self._deaths: list[tuple[int, str]] = []
        self.report = Report()

    async def run(self, kills: int) -> None:
        began = CLOCK.monotonic()
        feeding = asyncio.create_task(self._feed())
        for number in range(1, kills + 1):
            await CLOCK.sleep(self._chance.uniform(*PAUSE_SECONDS))
            await self._kill()
            if number % 50 == 0:
                sys.stdout.write(f"{number:5} kills, {len(self._ids)} runs submitted\n")
                sys.stdout.flush()
        self._stopping = True
        await feeding
        runs = await self._settled()
        self.report.seconds = CLOCK.monotonic() - began
        self._judge(runs)

    # --- load ---------------------------------------------------------------------------------------

    async def _feed(self) -> None:
        """Keeps OUTSTANDING runs in the system. A request whose answer was lost is repeated under its key."""
        number = 0
        pending: list[str] = []
        while not self._stopping:
            try:
                async with self._product.client() as client:
                    while not self._stopping:
                        if len(pending) < OUTSTANDING:
                            pending.append(await self._submit(client, number))
                            number += 1
                            continue
                        pending = [each for each in pending if not await self._is_over(client, each)]
                        await CLOCK.sleep(0.1)
            except (httpx.HTTPError, KeyError):
                await CLOCK.sleep(0.1)

    async def _submit(self, client: httpx.AsyncClient, number: int) -> str:
        body = {"requirement": f"Take seven steps, number {number}", "workflow": "seven_quick_steps"}
        answer = await client.post("/v1/projects", json=body, headers={"Idempotency-Key": f"campaign-{number}"})
        answer.raise_for_status()
        project = answer.json()
        self._ids[project["id"]] = project["run_id"]
        return str(project["id"])

    async def _is_over(self, client: httpx.AsyncClient, project: str) -> bool:
        answer = await client.get(f"/v1/projects/{project}")
        answer.raise_for_status()
        return answer.json()["run"]["ended_at"] is not None

    # --- death --------------------------------------------------------------------------------------

    async def _kill(self) -> None:
        program = self._chance.choice(OTHERS) if self._chance.random() < OTHERS_PART else "runner"
        while not (victims := self._victims(program)):
            assert self._product.process.returncode is None, self._product.story()
            program = "runner"
            await CLOCK.sleep(0.05)
        victim = self._chance.choice(victims)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.report.kills[program] += 1
            self._deaths.append((round(time.time() * 1000), program))  # noqa: TID251  # compared with the facts' times

    def _victims(self, program: str) -> list[int]:
        """Those that the supervisor would not give up for it."""
        now = CLOCK.monotonic()
        pids = self._product.pids(program)
        for pid in pids:
            self._born.setdefault(pid, now)
            if pid not in self._may_die_young:
                self._may_die_young[pid] = self._chance.randrange(YOUNG_DEATHS_ONE_IN) == 0
        return [pid for pid in pids if self._may_die_young[pid] or now - self._born[pid] >= QUICK_SECONDS]

    # --- the end --------------------------------------------------------------------------------------

    async def _settled(self) -> list[RunItem]:
        """The runs, once each has ended and no token is left, or SETTLE_SECONDS_MAX have passed."""
        end = CLOCK.monotonic() + SETTLE_SECONDS_MAX
        names = list(self._ids.values())
        async with self._product.engine() as engine:
            while True:
                items = []
                for start in range(0, len(names), BATCH_ITEMS_MAX):
                    items += await engine.tables.get([run_key(name) for name in names[start : start + BATCH_ITEMS_MAX]])
                runs = [as_run(item) for item in items if item is not None]
                tokens = (await engine.tables.query(all_tokens(0))).items
                over = len(runs) == len(names) and not tokens
                if over or CLOCK.monotonic() > end:
                    self.report.lost_slots = len(tokens)
                    return runs
                await CLOCK.sleep(0.2)

    def _judge(self, runs: Sequence[RunItem]) -> None:
        report = self.report
        report.runs = len(self._ids)
        report.unfinished = [run["pk"] for run in runs if run["state"] != "succeeded"]
        report.unfinished += [name for name in self._ids.values() if name not in {run["pk"] for run in runs}]
        report.broken = [broken for run in runs for broken in audit.broken_promises(run)]
        for run in runs:
            requeued: int | None = None
            for _, fact in story(run):
                if fact["t"] == "RunRequeued":
                    report.interrupted += 1
                    died = [at for at, program in self._deaths if program == "runner" and at <= fact["at"]]
                    requeued = max(died, default=None)
                elif fact["t"] == "RunStarted" and requeued is not None:
                    report.resumed.append(Resumption(fact["at"] - requeued, run["pk"], requeued))
                    requeued = None
        slowest = sorted((each for each in report.resumed if each.ms >= SLOW_MS), reverse=True)[:SLOW_SHOWN_MAX]
        report.slow = [self._tale(each, next(run for run in runs if run["pk"] == each.run)) for each in slowest]

    def _tale(self, slow: Resumption, run: RunItem) -> str:
        """All deaths and the run's facts of that time, in milliseconds since its runner died."""
        first, last = slow.died_at - BEFORE_MS, slow.died_at + slow.ms
        known = [(at, f"{program} dies") for at, program in self._deaths]
        known += [(fact["at"], fact["t"]) for _, fact in story(run)]
        told = [f"{at - slow.died_at:+} {what}" for at, what in sorted(known) if first <= at <= last]
        return f"{slow.run} was resumed after {slow.ms} ms: " + ", ".join(told)


async def campaign(folder: Path, kills: int, seed: int) -> Report:
    arguments = ("--workflows", "tests.e2e.workflows", "--limit", str(LIMIT), "--runners", str(RUNNERS))
    async with Product(folder / "data", *arguments) as product:
        played = Campaign(product, seed)
        await played.run(kills)
    return played.report


def main() -> int:
    parser = argparse.ArgumentParser(prog="kills", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-kills-") as folder:
        report = asyncio.run(campaign(Path(folder), wanted.kills, wanted.seed))
    for line in [*report.broken, *report.unfinished, *report.slow]:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(report.last_line() + "\n")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
