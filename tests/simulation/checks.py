"""Sees every commit of the one engine as it happens, and hands it to whoever checks that table."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.brokers import QueueBroker, StreamBroker
from tests.simulation.diary import Diary
from tests.simulation.ledger import Ledger
from tests.simulation.machine import Process
from tests.simulation.network import LIMITS_QUERY, Call, Network
from tests.simulation.patches import SHORT_STORY_FACTS
from tests.simulation.plan import Plan
from tests.simulation.stories import Announced, Stories
from tests.simulation.violations import demand

from penstock_backbone.inventory import LIMITS_PK
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records.projects import PROJECT_SK
from penstock_backbone.records.runs import CANCELLED, FACTS_MAX, QUEUED, RUN_SK, RUNNING, TERMINAL, WAITING
from penstock_backbone.records.sessions import DEAD, SESSIONS_PK
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.tokens import HEAD_SK, PEND_MAX
from penstock_backbone.vocabulary import Item, Key, Message
from penstock_runner.domain.dispatch import parse
from penstock_runner.handlers.runner import Runner

WRONG_MS = 60_000
"""Longer than any stage of the simulated workflows waits."""
QUEUE_MESSAGES_MAX = 200
"""In such small worlds, whose fullest queue had twenty."""
WAKING_SECONDS = 0.3
"""A runner that has thawed needs its next look at the watchdog to notice that it was away."""


class Checks:
    def __init__(self, network: Network, processes: dict[str, Process], plan: Plan) -> None:
        self._network = network
        self._processes = processes
        self.projects: dict[str, Item] = {}
        self.stories = Stories(self._fence_of, network.sightings, SHORT_STORY_FACTS if plan.narrow else FACTS_MAX)
        self.diary = Diary(self.stories.runs, network.sightings)
        self.ledger = Ledger(
            self.stories.runs,
            self._is_executing,
            network.sightings,
            decision_max=plan.narrow or PEND_MAX,
            age_ms=plan.age_seconds * 1000,
        )
        self.announced = Announced()
        self.commits = 0
        self._limits_moved: list[tuple[float, str, bool]] = []
        self.faults_have_stopped = False

    def watch(self, engine: MemoryEngine, streams: StreamBroker) -> None:
        storage = engine.storage
        store = storage.store

        def stored(key: Key, change: object, old: Item | None) -> None:
            store(key, change, old)  # type: ignore[arg-type]  # it is what the engine gives
            self._committed(key, old, change.item)  # type: ignore[attr-defined]  # it is what the engine gives
            streams.committed(key)

        storage.store = stored  # type: ignore[method-assign]  # every commit passes here

    def _committed(self, key: Key, old: Item | None, new: Item | None) -> None:
        self.commits += 1
        now, call = self._network.loop.now, self._network.caller
        writer = call.process if call is not None else None
        match key.table:
            case "tokens":
                self.ledger.committed(now, key, old, new, call)
                if key.sk == HEAD_SK and old is not None and call is not None:
                    self._decided(call)
            case "runs" if key.sk == RUN_SK:
                self.stories.committed(key, old, new, writer)
                if new is not None and old is not None and old["state"] == RUNNING and writer is not None:
                    self.diary.ended(now, new, writer)
                if (
                    new is not None
                    and new["state"] == CANCELLED
                    and new["token"] in self.ledger.held
                    and old is not None
                ):
                    self._cancelled_while_held(old)
            case "sessions" if key.pk == SESSIONS_PK:
                self.ledger.fleet.committed(now, key.sk, new)
                self._session(key, old, new, writer)
            case "limits" if key.pk == LIMITS_PK:
                self.ledger.limit_committed(now, key, new)
                self._limited(now, key, old, new)
            case "projects" if key.sk == PROJECT_SK:
                demand(old is None and new is not None, "I12", f"the project {key.pk} was changed")
                assert new is not None
                self.projects[key.pk] = new
            case _:
                pass

    def _cancelled_while_held(self, before: Item) -> None:
        if before["state"] == QUEUED:
            self._network.sightings.note("a granted run was cancelled before its claim (50)")

    def _decided(self, call: Call) -> None:
        """On limits that may have moved since they were read."""
        read, fell = call.views.get(LIMITS_QUERY, 0.0), set()
        for when, scope, rose in reversed(self._limits_moved):
            if when <= read:
                return
            if rose and scope in fell:
                self._network.sightings.note("a limit went up and down since it was read (39)")
                return
            if not rose:
                fell.add(scope)

    def dispatched(self, message: Message) -> None:
        dispatch = parse(message.body)
        run = self.stories.runs.get(dispatch.run) if dispatch is not None else None
        if run is None or dispatch is None or run["state"] != RUNNING or run["fence"] != dispatch.fence:
            return
        self._network.sightings.note("a dispatch came while its run was executed (60)")
        if message.receives > 1:
            self._network.sightings.note("a dispatch was seen again while its run was executed (61)")

    def dies(self, process: Process) -> None:
        if self.diary.is_in_a_stage(process):
            self._network.sightings.note("a runner was killed in a stage (51)")

    def die_together(self, processes: Sequence[Process]) -> None:
        if sum(isinstance(process.subject, Runner) for process in processes) > 1:
            self._network.sightings.note("several runners died at once (86)")

    def is_told_to_stop(self, runner: Runner) -> None:
        if runner.claims.executions:
            self._network.sightings.note("a runner that executes was told to stop (68, 71)")

    def _limited(self, now: float, key: Key, old: Item | None, new: Item | None) -> None:
        before, after = (-1 if each is None else 0 if each.get("paused") else each["limit"] for each in (old, new))
        if old is not None and before != after:
            self._limits_moved.append((now, key.sk, after > before))
        if new is not None and new["limit"] < self.ledger.in_use(key.sk):
            self._network.sightings.note("a limit was lowered below what is in use (38)")
        if new is not None and new["limit"] == 0:
            self._network.sightings.note("a limit was zero (40)")
        if new is not None and new.get("paused") and self.ledger.in_use(key.sk):
            self._network.sightings.note("a scope was paused that holds some (13, 38)")

    def _session(self, key: Key, old: Item | None, new: Item | None, writer: Process | None) -> None:
        demand(
            old is None or old["st"] != DEAD or new is None or new["st"] == DEAD,
            "I5",
            f"the dead session {key.sk} lives",
        )
        ends = new is not None and new["st"] == DEAD and (old is None or old["st"] != DEAD)
        if ends and any(process.is_frozen and key.sk in process.sessions for process in self._processes.values()):
            self._network.sightings.note("a lease expired while its runner was frozen (52)")
        if old is None and writer is not None:
            writer.sessions.add(key.sk)
            if len(writer.sessions) > 1:
                self._network.sightings.note("a runner fenced itself off (54, 57)")

    def _fence_of(self, run: str) -> int:
        return self.ledger.fence_of(run)

    def _is_executing(self, run: str, fence: int) -> str | None:
        """A process that is awake and works on the run in a session it has not given up."""
        now = self._network.loop.now
        for process in self._processes.values():
            runner = process.subject
            if process.gone or process.is_frozen or not isinstance(runner, Runner):
                continue
            execution = runner.claims.executions.get((run, fence))
            if execution is None or execution.session.fenced or now - process.thawed_at < WAKING_SECONDS:
                continue
            return process.name
        return None

    def _waits_by_a_wrong_clock(self, run: Item) -> bool:
        """Its time will come, and by no orchestrator's clock soon: the clock of its runner, or theirs, has jumped."""
        clocks = [process.clock.now() for name, process in self._processes.items() if name.startswith("orchestrator")]
        return "due" in run and run["due"] > to_ms(max(clocks)) + WRONG_MS

    def rests_for_good(self, project: str) -> bool:
        """Nothing can go wrong any more, and its run waits for a time that will not come before the end."""
        run = self.stories.runs.get(self.projects[project]["run_id"])
        waits = run is not None and run["state"] == WAITING and self._waits_by_a_wrong_clock(run)
        return self.faults_have_stopped and waits

    # --- the end ------------------------------------------------------------------------------------

    def unfinished(self, queues: QueueBroker, streams: StreamBroker) -> list[str]:
        """What is still to be done before everything that was accepted has ended (I11, I12)."""
        self.ledger.turns.demand_used_in_the_end(self._network.loop.now)
        left = [f"the token {name} is there" for name in self.ledger.tokens]
        left += [f"{name} holds a slot" for name in self.ledger.held]
        for project, item in self.projects.items():
            run = self.stories.runs.get(item["run_id"])
            if run is None:
                left.append(f"{project} was accepted and never enqueued")
            elif run["state"] == WAITING and self._waits_by_a_wrong_clock(run):
                self._network.sightings.note("a timer was set by a clock that was far ahead")
            elif run["state"] not in TERMINAL:
                left.append(f"{run['pk']} is {run['state']}")
            elif self.announced.last.get(run["pk"]) != run["seq"] or run["pk"] not in self.announced.created:
                left.append(f"the bus has not told all of {run['pk']}")
        for queue in ("admission", "dispatch"):
            size = queues.size(queue)
            demand(size <= QUEUE_MESSAGES_MAX, "I16", f"{size} messages in the queue {queue}")
            if size:
                left.append(f"{size} messages in the queue {queue}")
        left += [
            f"the consumer {name} is behind"
            for name in ("relay", "dispatcher", "limits-watcher")
            if not streams.is_settled(name)
        ]
        return left

    def at_the_end(self, queues: QueueBroker) -> None:
        self.ledger.shards.judge()
        known = {item["run_id"] for item in self.projects.values()}
        strangers = sorted(self.stories.runs.keys() - known)
        demand(not strangers, "I12", f"nobody asked for the runs {strangers}")
        pointed_at = {
            result[0]
            for run in self.stories.runs.values()
            for result in run["results"].values()
            if type(result) is list
        }
        if any(key.endswith(".json") and key not in pointed_at for key in self._network.engine.blobs._files):
            self._network.sightings.note("a stored result was never pointed at (63)")
        for queue in ("admission-dlq", "dispatch-dlq", "relay-failures"):
            demand(not queues.size(queue), "I12", f"{queues.size(queue)} messages in {queue}")
