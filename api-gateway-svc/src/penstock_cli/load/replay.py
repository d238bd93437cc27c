"""Posts each project when it is due, waits until all have ended, and reads what became of them. It knows only HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from penstock_backbone.ports import Clock, Ids
from penstock_backbone.words import counted
from penstock_cli.asking import Asking
from penstock_cli.load.domain.course import Course, Due
from penstock_cli.load.domain.figures import Outcome, in_words
from penstock_cli.load.domain.story import Story, read
from penstock_cli.load.domain.trace import PRIORITY_DEFAULT, TracedRun
from penstock_cli.refusal import Refusal
from penstock_runner.workflows.replay import workflow_name

POSTERS = 8
READERS = 8
EVENTS_MAX = 1000
EVENT_PAGES_MAX = 20
LOOK_SECONDS = 0.25
NAMED_MAX = 3
WARM_UP = (Due(TracedRun("warm-up", 0.0, 0.0, 1, "warm-up", PRIORITY_DEFAULT, {}), 0.0, 0.0),) * POSTERS
"""Played first: what every process does once would else be waited for by the first runs of the trace."""


@dataclass(slots=True)
class Posted:
    due: Due
    project_id: str
    story: Story


class Replay:
    """One replay of `dues`, which are in the order of their times. `posted` and `running` may be watched meanwhile."""

    def __init__(self, asking: Asking, dues: Sequence[Due], clock: Clock, ids: Ids) -> None:
        self._asking = asking
        self._dues = dues
        self._clock = clock
        self._ids = ids
        self._began = clock.monotonic()
        self._began_at = clock.now().timestamp()
        self.posted: list[Posted] = []
        self.running = 0

    async def play(self, seconds_max: float) -> Outcome:
        """Raises Refusal when not every run has ended after `seconds_max`."""
        self._began = self._clock.monotonic()
        self._began_at = self._clock.now().timestamp()
        try:
            async with asyncio.timeout(seconds_max), asyncio.TaskGroup() as group:
                group.create_task(self._post_all())
                group.create_task(self._until_all_have_ended())
        except TimeoutError:
            raise Refusal(self._overdue(seconds_max)) from None
        return self._outcome()

    def seconds(self) -> float:
        return self._clock.monotonic() - self._began

    async def _post_all(self) -> None:
        left = iter(self._dues)
        async with asyncio.TaskGroup() as group:
            for _ in range(POSTERS):
                group.create_task(self._post(left))

    async def _post(self, left: Iterator[Due]) -> None:
        for due in left:
            await self._clock.sleep(max(0.0, due.at_s - self.seconds()))
            run = due.run
            body = {
                "name": run.name,
                "requirement": f"Take as long as the run {run.name} of the trace.",
                "workflow": workflow_name(run.stages),
                "priority": run.priority,
                "input": {"seconds": due.length_s, **run.usage},
            }
            headers = {"Penstock-Tenant": run.tenant, "Idempotency-Key": self._ids.new("load")}
            project = await self._asking.ask("POST", "/v1/projects", json=body, headers=headers)
            self.posted.append(Posted(due, project["id"], Story()))

    async def _until_all_have_ended(self) -> None:
        """Stories are read only when nothing holds a slot: until then one small question is asked a few times a second."""
        while True:
            fleet = await self._asking.ask("GET", "/v1/limits/fleet")
            self.running = fleet["held"]
            if len(self.posted) == len(self._dues) and not self.running:
                await self._read_stories()
                if all(posted.story.ended for posted in self.posted):
                    return
            await self._clock.sleep(LOOK_SECONDS)

    async def _read_stories(self) -> None:
        left = iter([posted for posted in self.posted if not posted.story.ended])

        async def read_on() -> None:
            for posted in left:
                posted.story = read(await self._events(posted))

        async with asyncio.TaskGroup() as group:
            for _ in range(READERS):
                group.create_task(read_on())

    async def _events(self, posted: Posted) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        after = 0
        for _ in range(EVENT_PAGES_MAX):
            page = await self._asking.ask(
                "GET", f"/v1/projects/{posted.project_id}/events",
                params={"after": after, "limit": EVENTS_MAX}, headers={"Penstock-Tenant": posted.due.run.tenant},
            )  # fmt: skip
            events += page["events"]
            if page["ended"] or not page["events"]:
                break
            after = page["after"]
        return events

    def _outcome(self) -> Outcome:
        usage: Counter[str] = Counter()
        for posted in self.posted:
            usage.update(posted.story.usage)
        return Outcome(
            courses=[self._course(posted) for posted in self.posted if not posted.story.error],
            errors=[f"{posted.due.run.name}: {posted.story.error}" for posted in self.posted if posted.story.error],
            late_s=[max(0.0, posted.story.created - self._began_at - posted.due.at_s) for posted in self.posted],
            usage=usage,
        )

    def _course(self, posted: Posted) -> Course:
        origin, story = self._began_at, posted.story
        return Course(
            posted.due, story.queued - origin, tuple((start - origin, end - origin) for start, end in story.holds)
        )

    def _overdue(self, seconds_max: float) -> str:
        left = [posted.due.run.name for posted in self.posted if not posted.story.ended]
        missing = len(self._dues) - len(self.posted)
        named = f"; the first are {', '.join(left[:NAMED_MAX])}" if left else ""
        return (
            f"Of {counted(len(self._dues), 'run')} {len(left) + missing} had not been seen to end after {in_words(seconds_max)}"
            f"{named}: look into the logs."
        )
