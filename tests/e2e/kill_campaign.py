"""`make kills`: a product under load, whose processes are killed with -9 at random moments, one after another.

Most of those killed are runners. A seed decides who and when; what that meets depends on the machine. In the end every
run must have ended well, no finished stage may have begun again, and no slot may be held. At no time may the decisions have
let in more runs than the limit allows. A campaign that had nothing to judge is no good either.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random  # noqa: TID251  # the campaign throws its own dice, always from a seed
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import audit
from tests.e2e.campaign_load import Load
from tests.e2e.product import CLOCK, Product

from penstock_backbone.records.runs import TERMINAL, RunItem, as_run, run_key, story
from penstock_backbone.records.tokens import all_tokens
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX
from penstock_backbone.words import counted

RUNNERS = 8
LIMIT = 8
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
    """`most_held`: runs that were let in and not yet done, by the decisions. `refused`: answers of the API that no kill
    explains. `slow` tells, for the slowest resumptions, what happened meanwhile."""

    wanted: int
    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    interrupted: int = 0
    lost_slots: int = 0
    most_held: int = 0
    unavailable: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unfinished: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    resumed: list[Resumption] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return not self.complaints()

    def complaints(self) -> list[str]:
        """Whatever makes it a bad campaign, or none at all."""
        killed = sum(self.kills.values())
        found = [f"{what} ({counted(times, 'time')})" for what, times in self.refused.items()]
        found += [*self.broken, *(f"{run} did not succeed" for run in self.unfinished)]
        if killed != self.wanted:
            found.append(f"{counted(killed, 'kill')} and not {self.wanted}")
        if not self.runs:
            found.append("no run was accepted")
        if not self.interrupted:
            found.append("no run was interrupted")
        if self.lost_slots:
            found.append(f"{counted(self.lost_slots, 'slot')} lost")
        if not 0 < self.most_held <= LIMIT:
            found.append(f"{self.most_held} held at once, with a limit of {LIMIT}")
        return found

    def last_line(self) -> str:
        times = sorted(each.ms for each in self.resumed)
        resumed = "nothing to resume"
        if times:
            p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
            resumed = f"resumed p50 {statistics.median(times):.0f} ms, p99 {p99} ms, max {times[-1]} ms"
        return (
            f"{counted(sum(self.kills.values()), 'kill')} ({self.kills['runner']} of runners), {counted(self.runs, 'run')}, "
            f"{counted(self.interrupted, 'interruption')}, {counted(self.lost_slots, 'lost slot')}, "
            f"at most {self.most_held} of {LIMIT} held at once, {counted(self.unavailable, 'answer')} 503, "
            f"{counted(len(self.broken), 'repeated stage')}, "
            f"{counted(len(self.unfinished), 'run')} that did not succeed, {resumed}, in {self.seconds:.0f} s"
        )


class Campaign:
    def __init__(self, product: Product, seed: int, kills: int) -> None:
        self._product = product
        self._chance = random.Random(seed)
        self._load = Load(product, "seven_quick_steps")
        self._decisions = audit.Decisions(product.folder)
        self._born: dict[int, float] = {}
        self._may_die_young: dict[int, bool] = {}
        self._deaths: list[tuple[int, str]] = []
        self.report = Report(kills)

    async def run(self) -> None:
        began = CLOCK.monotonic()
        loading = asyncio.create_task(self._load.keep())
        while (killed := sum(self.report.kills.values())) < self.report.wanted and not loading.done():
            await CLOCK.sleep(self._chance.uniform(*PAUSE_SECONDS))
            with contextlib.suppress(sqlite3.OperationalError):
                self._decisions.follow()
            await self._kill()
            if killed % 50 == 49:
                sys.stdout.write(f"{killed + 1:5} kills, {len(self._load.runs)} runs submitted\n")
                sys.stdout.flush()
        self._load.stop()
        await loading
        runs = await self._settled()
        self._decisions.follow()
        self.report.seconds = CLOCK.monotonic() - began
        self._judge(runs)

    # --- death --------------------------------------------------------------------------------------

    async def _kill(self) -> None:
        for program in OTHERS:
            self._victims(program)  # so that their age is known when their turn comes
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
        names = list(self._load.runs.values())
        async with self._product.engine() as engine:
            while True:
                items = []
                for start in range(0, len(names), BATCH_ITEMS_MAX):
                    items += await engine.tables.get([run_key(name) for name in names[start : start + BATCH_ITEMS_MAX]])
                runs = [as_run(item) for item in items if item is not None]
                tokens = (await engine.tables.query(all_tokens(0))).items
                ended = sum(run["state"] in TERMINAL for run in runs)
                over = ended == len(names) and not tokens
                if over or CLOCK.monotonic() > end:
                    self.report.lost_slots = len(tokens)
                    return runs
                await CLOCK.sleep(0.2)

    def _judge(self, runs: Sequence[RunItem]) -> None:
        report = self.report
        report.runs = len(self._load.runs)
        report.unavailable, report.refused = self._load.unavailable, self._load.refused
        report.most_held = self._decisions.granted.most
        report.unfinished = [run["pk"] for run in runs if run["state"] != "succeeded"]
        report.unfinished += [name for name in self._load.runs.values() if name not in {run["pk"] for run in runs}]
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
        played = Campaign(product, seed, kills)
        await played.run()
    return played.report


def main() -> int:
    parser = argparse.ArgumentParser(prog="kills", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-kills-") as folder:
        report = asyncio.run(campaign(Path(folder), wanted.kills, wanted.seed))
    for line in [*report.slow, *report.complaints()]:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(report.last_line() + "\n")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
