"""A backbone in memory under virtual time, the orchestrator's few moves played by hand, and runners on top."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Concatenate, ParamSpec

from tests.runner.faults import Faults
from tests.runner.inline_workers import InlineWorkers
from tests.runner.virtual_time import VirtualClock

from penstock_backbone.inventory import DISPATCH_QUEUE, RUNS
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records import runs, sessions, verbs, waits
from penstock_backbone.records.projects import as_project, create_project, project_key
from penstock_backbone.records.runs import RUNNING, TERMINAL, FactItem, RunItem
from penstock_backbone.records.times import to_ms
from penstock_backbone.telemetry import silent
from penstock_backbone.vocabulary import Item, Outgoing, Query, Write, Written
from penstock_runner.authoring import Workflow
from penstock_runner.handlers.runner import DRAIN_SECONDS, Runner
from penstock_runner.ports import Workers, World
from penstock_runner.registry import Registry

Given = ParamSpec("Given")
TENANT = "acme"


class CountingIds:
    def __init__(self) -> None:
        self._count = 0

    def new(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count:026d}"


class NoChance:
    def random(self) -> float:
        return 0.0


class Process:
    """One runner process that can be killed: its tasks end, and nothing of it reaches the world any more."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.task = asyncio.create_task(runner.run(self.stop, self.hurry))

    @property
    def session(self) -> str:
        session = self.runner.heartbeat.session
        assert session is not None
        return session.id

    def kill(self) -> None:
        self.task.cancel()
        for execution in list(self.runner.claims.executions.values()):
            execution.stop()


class Rig:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.telemetry = silent()
        self.workers: Workers = InlineWorkers()
        self.ids = CountingIds()
        self.engine = MemoryEngine(self.clock, self.ids)
        self.processes: list[Process] = []

    def world(self, faults: Faults | None = None) -> World:
        ports = faults or self.engine
        return World(
            tables=ports.tables,
            queues=ports.queues,
            blobs=ports.blobs,
            clock=self.clock,
            ids=self.ids,
            chance=NoChance(),
            telemetry=self.telemetry,
            workers=self.workers,
        )

    def start(
        self,
        *workflows: Workflow,
        faults: Faults | None = None,
        capacity: int = 64,
        session: str | None = None,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> Process:
        runner = Runner(
            self.world(faults), registry(*workflows), capacity=capacity, first_session=session,
            drain_seconds=drain_seconds,
        )  # fmt: skip
        process = Process(runner)
        self.processes.append(process)
        return process

    # --- the API and the orchestrator, by hand -------------------------------------------------------

    async def ask_for(
        self,
        workflow: Workflow | str,
        *,
        requirement: str = "Build me an agent, please.",
        traceparent: str | None = None,
    ) -> str:
        """A project whose run is queued. Returns the run's id."""
        name = workflow if isinstance(workflow, str) else workflow.name
        project_id, run_id = self.ids.new("prj"), self.ids.new("run")
        project = create_project(
            project_id, tenant=TENANT, name="A project", requirement=requirement, workflow=name, priority=3,
            tags=["blue"], run_id=run_id, at=self._at(), traceparent=traceparent,
        )  # fmt: skip
        await self.engine.tables.write([project])
        (item,) = await self.engine.tables.get([project_key(project_id)])
        assert item is not None
        await self.engine.tables.write([runs.enqueue_run(as_project(item), token="t", shard=0, at=self._at())])
        return run_id

    async def dispatch(self, run_id: str, fence: int, *, with_project: bool = True) -> None:
        run = await self.run(run_id)
        body: dict[str, Any] = {"run": run_id, "fence": fence, "token": "t", "tenant": TENANT}
        if with_project:
            body["project"] = run["project_id"]
        await self.engine.queues.send(DISPATCH_QUEUE, [Outgoing(json.dumps(body), TENANT)])

    async def submit(self, workflow: Workflow | str, **details: Any) -> str:
        """Asked for and granted at once."""
        run_id = await self.ask_for(workflow, **details)
        await self.dispatch(run_id, 1)
        return run_id

    async def requeue(self, run_id: str, session: str) -> None:
        """What follows a runner's death: bury its session, fence the run off, grant it anew under a higher fence."""
        await self.engine.tables.write([sessions.bury_session(session)])
        run = await self.run(run_id)
        if run["state"] == RUNNING:
            (outcome,) = await self.engine.tables.write([runs.fence_off(run, reason="runner lost", at=self._at())])
            assert isinstance(outcome, Written)
        if run["state"] not in TERMINAL:
            await self.dispatch(run_id, run["fence"] + 1)

    async def ask(self, run_id: str, make: Callable[[RunItem], Write]) -> RunItem:
        """As the API does it: from the run as it stands, until it is written. Whatever returns is granted anew."""
        while True:
            (outcome,) = await self.engine.tables.write([make(await self.run(run_id))])
            run = await self.run(run_id)
            if isinstance(outcome, Written):
                break
        if "returning" in run:
            (outcome,) = await self.engine.tables.write([verbs.make_token(run, token="t", shard=0)])
            assert isinstance(outcome, Written)
            await self.dispatch(run_id, run["fence"] + 1)
        return run

    async def signal(self, run_id: str, name: str, text: str) -> None:
        await self.ask(run_id, lambda run: self._answered(run, f"signal:{name}", text, "signal"))

    async def answer(self, run_id: str, stage: str, wait: str = "approval:1", **said: Any) -> None:
        await self.ask(run_id, lambda run: self._answered(run, f"{stage}/{wait}", json.dumps(said), "approval"))

    def _answered(self, run: RunItem, key: str, text: str, kind: str) -> Write:
        told = runs.fact("SignalReceived", self._at(), signal=key, size=len(text))
        return verbs.answer(run, key=key, text=text, told=told, wakes=kind, at=self._at())

    async def ring(self) -> set[str]:
        """As the orchestrator does it: wakes the runs whose timers are due, and grants them anew."""
        woken = set()
        page = await self.engine.tables.query(waits.first_timers())
        for timer in page.items:
            run = await self.run(timer["run"])
            if timer["due"] <= self._at() and run["state"] == runs.WAITING:
                await self.ask(run["pk"], lambda now: verbs.wake(now, kind="timer", at=self._at()))
                woken.add(run["pk"])
                await self.engine.tables.write([waits.forget_timer(timer)])
        return woken

    # --- what can be seen ----------------------------------------------------------------------------

    async def run(self, run_id: str) -> RunItem:
        (item,) = await self.engine.tables.get([runs.run_key(run_id)])
        assert item is not None
        return runs.as_run(item)

    async def story(self, run_id: str) -> list[FactItem]:
        """The facts from number 2 on; the numbers have no gap."""
        run = await self.run(run_id)
        assert sorted(map(int, run["facts"])) == list(range(2, run["seq"] + 1))
        return [entry for _, entry in runs.story(run)]

    async def told(self, run_id: str) -> list[str]:
        """The story in words: the type, and the stage where there is one."""
        return [" ".join([entry["t"], *filter(None, [entry["d"].get("stage")])]) for entry in await self.story(run_id)]

    async def until_ended(self, *run_ids: str, state: str | None = None) -> None:
        for run_id in run_ids:
            await self.until(lambda run: run["state"] in TERMINAL, run_id)
            if state is not None:
                assert (await self.run(run_id))["state"] == state, await self.story(run_id)

    async def until(self, holds: Callable[[RunItem], bool], run_id: str, seconds: float = 7200) -> None:
        """Looks often at first: what is waited for long may be seen a little later."""
        began = self.clock.monotonic()
        while not holds(await self.run(run_id)):
            waited = self.clock.monotonic() - began
            assert waited < seconds, f"still not so after {seconds} s: {await self.told(run_id)}"
            await self.clock.sleep(max(0.01, waited / 100))

    async def session(self, session: str) -> Item:
        page = await self.engine.tables.query(Query("sessions", sessions.SESSIONS_PK, prefix=session))
        return page.items[0]

    async def waiting_messages(self) -> int:
        """How many dispatch messages would be delivered within ten minutes."""
        await self.clock.sleep(600)
        return len(await self.engine.queues.receive(DISPATCH_QUEUE, 10, 0))

    def check_history(self) -> None:
        """Of every image the runs ever had: the story only grows, fences only rise, what is terminal stays so."""
        last: dict[str, Item] = {}
        for record in self.engine.storage.feed:
            if record.key.table != RUNS or record.key.sk != runs.RUN_SK:
                continue
            item, before = record.item, last.get(record.key.pk)
            assert item is not None
            assert sorted(map(int, item["facts"])) == list(range(2, item["seq"] + 1))
            assert item["since"] <= item["seq"] + 1
            if before is not None:
                told = [item["facts"][str(number)]["t"] for number in range(before["seq"] + 1, item["seq"] + 1)]
                assert before["state"] not in TERMINAL or "RunRetried" in told, "a terminal state changed"
                assert item["fence"] >= before["fence"]
                assert item["since"] == before["seq"] + 1 or item["seq"] == before["seq"]
                assert before["facts"].items() <= item["facts"].items(), "a fact changed"
                cleared = _cleared(item, before["seq"])
                finished = {
                    name: result
                    for name, result in before["results"].items()
                    if "." not in name and name not in cleared
                }
                assert finished.items() <= item["results"].items(), "a result changed"
            last[record.key.pk] = item

    def _at(self) -> int:
        return to_ms(self.clock.now())


def _cleared(item: Item, seq: int) -> set[str]:
    """What the facts after `seq` say to be done again."""
    added = [item["facts"][str(number)] for number in range(seq + 1, item["seq"] + 1)]
    return {name for told in added if told["t"] == "RunStarted" for name in told["d"].get("cleared", ())}


def registry(*workflows: Workflow) -> Registry:
    found = Registry()
    for workflow in workflows:
        problem = found.add(workflow)
        assert problem is None, problem
    return found


def completions(story: Sequence[FactItem]) -> list[str]:
    return [entry["d"]["stage"] for entry in story if entry["t"] == "StageCompleted"]


def virtual(test: Callable[Concatenate[Rig, Given], Awaitable[None]]) -> Callable[Given, None]:
    """An async test on a rig of its own, in virtual time; the history of its runs is checked in the end."""

    async def play(*given: Given.args, **named: Given.kwargs) -> None:
        rig = Rig()
        try:
            await rig.clock.drive(test(rig, *given, **named))
        finally:
            for process in rig.processes:
                process.kill()
        rig.check_history()

    @functools.wraps(test)
    def wrapper(*given: Given.args, **named: Given.kwargs) -> None:
        asyncio.run(play(*given, **named))

    # What pytest shall see: the given arguments alone, and not the rig, which it would look for among its fixtures.
    parameters = list(inspect.signature(test).parameters.values())[1:]
    vars(wrapper)["__signature__"] = inspect.Signature(parameters)
    return wrapper
