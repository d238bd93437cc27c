"""The roles allow what the units do: the whole flow is played, each unit with an engine that notes what it asks for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from tests.infra.asked import AskedEngine
from tests.infra.recorder import Program
from tests.limits import set_limit
from tests.runner.inline_workers import InlineWorkers
from tests.runner.rig import CountingIds, NoChance, Process, registry
from tests.runner.stages import Word, stage, workflow
from tests.runner.virtual_time import VirtualClock

from penstock_api.bootstrap import assemble
from penstock_api.domain.limit_change import LimitChange
from penstock_api.domain.new_project import NewProject
from penstock_api.domain.wishes import Asked, Cancel, Done, Pause, Resume
from penstock_api.handlers.accept import Accepted, Replayed, Submission
from penstock_api.push.hub import Over
from penstock_backbone.inventory import ADMISSION_QUEUE, DISPATCHER, INVENTORY, LIMITS_WATCHER, RELAY
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records.limits import FLEET, SHARDS, tenant_scope
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import RUNNING, SUCCEEDED, TERMINAL, run_key
from penstock_backbone.records.yields import asks_key
from penstock_backbone.telemetry import silent
from penstock_infra.permissions import ADMISSION, API, POLL_QUEUE, POLL_STREAM, RIGHTS, RUNNER, SEND, SWEEP
from penstock_orchestrator.bootstrap import Parts, Surroundings
from penstock_orchestrator.domain.hints import Hints, read_hint
from penstock_orchestrator.handlers.records import RecordHandler
from penstock_runner.authoring import StageContext, Workflow
from penstock_runner.handlers.runner import Runner
from penstock_runner.ports import World

CONSUMERS = (RELAY, DISPATCHER, LIMITS_WATCHER)
PROJECTS = 6
FLEET_LIMIT = 3
"""More than the one runner takes at once, so that grants go unclaimed and are taken back."""


def sample(clock: VirtualClock) -> Workflow:
    async def large(context: StageContext) -> Word:
        await context.put_artifact("report.txt", b"a report")
        return Word(text="x" * 5_000)

    async def slow(context: StageContext) -> Word:
        await clock.sleep(20.0)
        return Word(text=context.output_of("large", Word).text)

    async def late(context: StageContext) -> Word:
        await context.sleep(30.0)
        return Word()

    return workflow(
        stage("large", large), stage("beside", needs=()), stage("slow", slow, needs=("large",)), stage("late", late)
    )


class Cloud:
    """The units of a stack, each with an engine of its own over one memory, and Lambda's pollers played by hand."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.ids = CountingIds()
        self.memory = MemoryEngine(self.clock, self.ids)
        self.engines = {unit: AskedEngine(self.memory) for unit in RIGHTS}
        given = Surroundings(self.clock, self.ids, NoChance(), silent())
        self.parts = {unit: Parts.on(engine, given) for unit, engine in self.engines.items()}
        self.api = assemble(self.engines[API], self.clock, self.ids, silent()).parts
        self.workflow = sample(self.clock)

    def start_runner(self) -> Process:
        engine = self.engines[RUNNER]
        world = World(
            tables=engine.tables,
            queues=engine.queues,
            blobs=engine.blobs,
            clock=self.clock,
            ids=self.ids,
            chance=NoChance(),
            telemetry=silent(),
            workers=InlineWorkers(),
        )
        return Process(Runner(world, registry(self.workflow), capacity=2, first_session=None))

    # --- pollers, which have the rights of Lambda's mappings -----------------------------------------

    async def feed(self, consumer: str) -> None:
        parts = self.parts[consumer]
        handlers: dict[str, RecordHandler] = {
            RELAY: parts.relay, DISPATCHER: parts.dispatcher, LIMITS_WATCHER: parts.limits_watcher,
        }  # fmt: skip
        handler = handlers[consumer]
        while True:
            records = await self.memory.streams.read(consumer, 100, 5.0)
            if records:
                assert await handler(records) is None
                await self.memory.streams.settle(consumer, records[-1].sequence)

    async def hint(self) -> None:
        while True:
            messages = await self.memory.queues.receive(ADMISSION_QUEUE, 10, 5.0)
            hints = Hints(everything=True)
            for message in messages:
                found = read_hint(message.body)
                assert found is not None, message.body
                hints.merge(found)
            await self.admit(ADMISSION, hints)
            await self.memory.queues.delete(ADMISSION_QUEUE, [message.receipt for message in messages])

    async def sweep(self) -> None:
        while True:
            await self.admit(SWEEP, Hints(everything=True))
            await self.admit(SWEEP, await self.parts[SWEEP].sweep.turn())
            await self.parts[SWEEP].yields.turn()
            await self.clock.sleep(2.0)

    async def admit(self, unit: str, hints: Hints) -> None:
        assert (await self.parts[unit].admission.turn(hints)).finished
        await self.parts[unit].boards.turn()

    # --- the story -------------------------------------------------------------------------------------

    async def play(self) -> None:
        duties = [self.feed(consumer) for consumer in CONSUMERS] + [self.hint(), self.sweep()]
        tasks = [asyncio.create_task(duty) for duty in duties]
        first = self.start_runner()
        second: Process | None = None
        try:
            await self.clock.sleep(1.0)
            await self.memory.tables.write([set_limit(FLEET, limit=FLEET_LIMIT, at=1)])
            projects = [await self.post(number) for number in range(PROJECTS)]
            await self.clock.sleep(18.0)
            first.kill()
            second = self.start_runner()
            await self.until_ended(projects)
            await self.look(projects)
            await self.cancel()
            await self.starve()
            await self.spread()
            second.stop.set()
            await second.task
            await self.clock.sleep(5.0)
        finally:
            for task in tasks:
                task.cancel()
            for process in (first, second):
                if process is not None:
                    process.kill()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}, outcomes

    async def post(self, number: int) -> ProjectItem:
        project = NewProject(requirement="Build me an agent, please.", workflow=self.workflow.name)
        key = f"key-{number}" if number % 2 else None
        verdict = await self.api.acceptance.accept(Submission(f"tenant-{number % 2}", project, key, None))
        assert isinstance(verdict, Accepted)
        if key is not None:
            again = await self.api.acceptance.accept(Submission(f"tenant-{number % 2}", project, key, None))
            assert isinstance(again, Replayed)
        return verdict.project

    async def cancel(self) -> None:
        """One that nobody has enqueued yet, and one that executes; and one that was paused for a moment."""
        early = await self.post(PROJECTS)
        assert await self.api.verbs.do(early["tenant"], early["pk"], Cancel("enough")) == Done()
        paused = await self.post(PROJECTS + 2)
        assert await self.api.verbs.do(paused["tenant"], paused["pk"], Pause("later")) == Done()
        assert await self.api.verbs.do(paused["tenant"], paused["pk"], Resume()) == Done()
        await self.until_ended([paused])
        late = await self.post(PROJECTS + 1)
        await self.until_running(late)
        assert await self.api.verbs.do(late["tenant"], late["pk"], Cancel("enough")) == Asked()

    async def starve(self) -> None:
        """One tenant holds every slot while another waits: one of its runs is asked to yield."""
        await self.memory.tables.write([set_limit(FLEET, limit=2, at=1, yields=True)])
        projects = [await self.post(number) for number in (20, 22)]
        for project in projects:
            await self.until_running(project)
        projects.append(await self.post(21))
        await self.until_ended(projects)
        (asks,) = await self.memory.tables.get([asks_key()])
        assert asks is not None

    async def spread(self) -> None:
        """Over more shards, and by each of those who may do it."""
        for number, unit in enumerate((ADMISSION, SWEEP), start=2):
            other = Parts.on(self.engines[unit], Surroundings(self.clock, self.ids, NoChance(), silent()))
            await other.admission.turn(Hints())
            await self.api.limits.change(SHARDS, LimitChange(limit=number), "ops")
            assert (await other.admission.turn(Hints(everything=True))).finished

    async def until_running(self, project: ProjectItem) -> None:
        while True:
            run = await self.api.projects.find_run(project["tenant"], project["run_id"])
            if run is not None and run["state"] == RUNNING:
                return
            assert self.clock.monotonic() < 1_000
            await self.clock.sleep(0.1)

    async def until_ended(self, projects: Sequence[ProjectItem]) -> None:
        for project in projects:
            while True:
                (run,) = await self.memory.tables.get([run_key(project["run_id"])])
                if run is not None and run["state"] in TERMINAL:
                    assert run["state"] == SUCCEEDED
                    break
                assert self.clock.monotonic() < 1_000
                await self.clock.sleep(0.5)

    async def look(self, projects: Sequence[ProjectItem]) -> None:
        """Everything that a frontend can ask for."""
        assert await self.api.readiness.obstacle() is None
        for project in projects[:2]:
            tenant = project["tenant"]
            await self.api.projects.detail(tenant, project["pk"])
            await self.api.projects.events(tenant, project["pk"], 0, 100)
            await self.api.projects.page(tenant, None, 10, None)
            await self.api.projects.page(tenant, "completed", 10, None)
            await self.api.projects.board(tenant)
            await self.api.limits.page(10, None)
            await self.api.limits.change(tenant_scope(tenant), LimitChange(limit=9), tenant)
            await self.api.limits.changes(tenant_scope(tenant), 10, None)
            run = await self.api.projects.find_run(tenant, project["run_id"])
            assert run is not None
            assert await self.api.projects.admission(tenant, project["run_id"]) is not None
            ((_, artifact),) = (await self.api.artifacts.of(run)).values()
            assert await self.api.artifacts.fetch(artifact) == b"a report"
            async with self.api.hub.subscribe(project, 0) as subscription:
                while not isinstance(await subscription.next(1.0), Over):
                    pass


@pytest.fixture(scope="module")
def asked() -> dict[str, set[tuple[str, str]]]:
    """By unit, after the whole story."""
    cloud = Cloud()
    asyncio.run(cloud.clock.drive(cloud.play()))
    return {unit: engine.asked for unit, engine in cloud.engines.items()}


def granted(program: Program, unit: str) -> set[tuple[str, str]]:
    """The role's policy, with the inventory's names for what it is about."""
    found: set[tuple[str, str]] = set()
    for statement in json.loads(program.one("RolePolicy", unit).inputs["policy"])["Statement"]:
        for resource in statement["Resource"]:
            about = resource.rsplit(f"{program.stack}-", 1)[-1]
            found |= {(action, about) for action in statement["Action"]}
    return found


def simplified(rights: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """One item or several is the same right to us, and so is what every function's log and mapping needs."""
    same = {"dynamodb:BatchGetItem": "dynamodb:GetItem", "dynamodb:PartiQLUpdate": "dynamodb:UpdateItem"}
    for_mappings = {*POLL_STREAM, "logs:CreateLogStream", "logs:PutLogEvents"}
    return {(same.get(action, action), about) for action, about in rights if action not in for_mappings}


@pytest.mark.parametrize("unit", sorted(RIGHTS))
def test_a_unit_may_do_everything_that_it_does(dev: Program, asked: dict[str, set[tuple[str, str]]], unit: str) -> None:
    assert asked[unit] - granted(dev, unit) == set()


@pytest.mark.parametrize("unit", sorted(RIGHTS))
def test_a_unit_may_do_nothing_that_it_never_does(
    dev: Program, asked: dict[str, set[tuple[str, str]]], unit: str
) -> None:
    rights = RIGHTS[unit]
    of_mappings = {(action, rights.polled) for action in POLL_QUEUE}
    if rights.consumer is not None:
        # A damaged record is put aside by the function, too; this story has none.
        of_mappings |= {(action, INVENTORY.consumer(rights.consumer).failures) for action in SEND}
    assert simplified(granted(dev, unit)) - simplified(asked[unit]) - of_mappings == set()
