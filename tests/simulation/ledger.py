"""Follows the heads that are committed, and checks who may hold a token, over all shards (I1, I2, I3, I5, I16, I17)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tests.simulation.budgets import Budgets
from tests.simulation.fleet import Fleet
from tests.simulation.network import LIMITS_AGE, LIMITS_QUERY, Call
from tests.simulation.shares import Shares
from tests.simulation.sightings import Sightings
from tests.simulation.turns import Turns
from tests.simulation.violations import demand
from tests.simulation.yields import Yields

from penstock_backbone.inventory import LIMITS_PK
from penstock_backbone.records.limits import (
    FLEET,
    FLEET_LIMIT_DEFAULT,
    LIMIT_MAX,
    resource_scope,
    tenant_scope,
    workflow_scope,
)
from penstock_backbone.records.runs import QUEUED, RUNNING, as_run, needs_token, story
from penstock_backbone.records.shards import ledger_key
from penstock_backbone.records.tokens import (
    GRANT,
    HEAD_SK,
    HELD,
    RELEASE,
    REQUEUE,
    WAITING,
    WITHDRAW,
    Operation,
    pending,
)
from penstock_backbone.records.yields import as_asks, asks_key
from penstock_backbone.vocabulary import Item, Key
from penstock_runner.handlers.journal import STOPPED, YIELDED

STALE_LIMITS_SECONDS_MAX = 70.0
"""The reading of limits that a decision is made on: every 30 s by the orchestrator's own clock, which may be slow and
cut off for a while. What it is frozen does not count."""


class Ledger:
    """`held` and `limits` come from what was committed, never from what a process thinks."""

    def __init__(
        self,
        runs: dict[str, Item],
        is_executing: Callable[[str, int], str | None],
        sightings: Sightings,
        *,
        decision_max: int,
        age_ms: int,
    ) -> None:
        self._runs = runs
        self._sightings = sightings
        self._is_executing = is_executing
        self._decision_max = decision_max
        self._limits: dict[str, list[tuple[float, int]]] = {}
        self.tokens: dict[str, Item] = {}
        self.since: dict[str, float] = {}
        self.held: dict[str, int] = {}
        self.fences: dict[str, int] = {}
        self.shards = Budgets(self._most)
        self.yields = Yields(self, runs)
        self._shares = Shares(sightings)
        self.fleet = Fleet(runs)
        self.grants = 0
        self.turns = Turns(self, self._shares, sightings, decision_max, age_ms)
        self._gone: set[str] = set()
        self.withdrawn: set[str] = set()
        self._in_use: Counter[str] = Counter()

    def fence_of(self, run: str) -> int:
        return self.fences.get(run, 0)

    # --- commits --------------------------------------------------------------------------------------

    def limit_committed(self, now: float, key: Key, new: Item | None) -> None:
        if key.pk == LIMITS_PK and new is not None:
            self._limits.setdefault(key.sk, []).append((now, 0 if new.get("paused") else new["limit"]))
            if key.sk == FLEET:
                self.yields.switched(new)
            if key.sk.startswith(tenant_scope("")):
                self._shares.said(now, key.sk, new)

    def committed(self, now: float, key: Key, old: Item | None, new: Item | None, call: Call | None) -> None:
        self.shards.committed(call)
        if key == ledger_key():
            assert new is not None, "the ledger was deleted"
            self.shards.apportioned(now, new)
        elif key == asks_key():
            assert new is not None, "the asks were deleted"
            assert call is not None, "asks that nobody wrote"
            seen = call.views.get(LIMITS_QUERY, 0.0)
            self.yields.asked(as_asks(new), lambda tenant: self._shares.owed(tenant, seen))
        elif key.sk == HEAD_SK:
            demand(new is not None, "I2", "the head was deleted")
            assert new is not None
            self._decided(now, key.pk, old, new, call)
        elif new is None:
            assert old is not None, "a deletion of nothing"
            self._deleted(key, old)
        elif old is None and self.shards.has_left(key.sk, new):
            self.tokens[key.sk] = new
            self.shards.arrived(key, self._scopes_held(key.sk))
        else:
            self._token(now, key, old, new)

    def _deleted(self, key: Key, old: Item) -> None:
        """A token ends as it was decided, or moves to another shard in the same transaction."""
        name = key.sk
        if name in self.held or (old["st"] == WAITING and name not in self.withdrawn):
            self.shards.leaves(key, old, self._scopes_held(name))
            return
        self.tokens.pop(name, None)
        self.since.pop(name, None)
        self._gone.add(name)

    def _scopes_held(self, name: str) -> tuple[str, ...]:
        return _scopes(self.tokens[name]) if name in self.held else ()

    def _token(self, now: float, key: Key, old: Item | None, new: Item) -> None:
        name = key.sk
        if old is None:
            run = self._runs.get(new["run"])
            demand(name not in self.since, "I2", f"the token {name} is in two shards")
            demand(run is not None and run["state"] == QUEUED, "I2", f"the token {name} has no waiting run")
            assert run is not None
            demand(name not in self._gone or new["f"] == run["fence"], "I2", f"the token {name} has come back")
            self.withdrawn.discard(name)
            self.turns.arrived(name)
            self.since[name] = now
            self.tokens[name] = new
            return
        self.tokens[name] = new
        if new["st"] == HELD:
            demand(self.held.get(name) == new["f"], "I2", f"the token {name} is held under {new['f']}, undecided")
        else:
            assert new["st"] == WAITING, new
            demand(self.held.get(name) != new["f"], "I2", f"the token {name} was taken back, undecided")

    def _decided(self, now: float, shard: str, old: Item | None, new: Item, call: Call | None) -> None:
        self.shards.fenced(shard, new)
        if old is None:
            demand(new["seq"] == 0, "I2", "the head does not begin at 0")
            return
        demand(new["seq"] == old["seq"] + 1, "I2", f"the head went from {old['seq']} to {new['seq']}")
        demand(len(new["pend"]) <= self._decision_max, "I16", f"a decision has {len(new['pend'])} operations")
        for operation in pending(old):
            self._demand_applied(operation)
        operations = pending(new)
        self.withdrawn |= {operation.token for operation in operations if operation.op == WITHDRAW}
        names = [operation.token for operation in operations]
        demand(len(set(names)) == len(names), "I2", "a decision names a token twice")
        assert call is not None, "a head that nobody wrote"
        resuming = {operation.token for operation in operations if self._resumes(operation)}
        self.turns.decided(now, shard, call, new["cid"], resuming)
        for operation in operations:
            token = self.tokens.get(operation.token)
            here = token is not None and token["pk"] == _tokens_of(shard)
            demand(here, "I2", f"{operation.op} of {operation.token} at {shard}, where it does not stand")
            if operation.op == GRANT:
                self.shards.demand_home(operation.token, shard)
                self._grant(now, operation, call)
            elif operation.op == WITHDRAW:
                self._withdraw(operation)
            else:
                self._end(now, operation)
        self.turns.demand_used(shard, operations, call)
        self.turns.sent_back(operations)

    def _demand_applied(self, operation: Operation) -> None:
        """Nobody decides before the decision before is carried out."""
        item = self.tokens.get(operation.token)
        if operation.op == GRANT:
            done = item is None or item["f"] >= operation.fence
        elif operation.op == WITHDRAW:
            done = item is None or item["f"] > operation.fence
        elif operation.op == RELEASE:
            returned = item is not None and item["st"] == WAITING and item["f"] >= operation.fence
            done = item is None or returned or item["f"] > operation.fence
        else:
            done = item is None or item["st"] == WAITING or item["f"] > operation.fence
        demand(done, "I2", f"a new decision, and {operation.op} of {operation.token} is not applied yet")

    # --- operations -----------------------------------------------------------------------------------

    def _end(self, now: float, operation: Operation) -> None:
        name, fence = operation.token, operation.fence
        demand(self.held.get(name) == fence, "I2", f"{operation.op} of {name} under {fence}, which does not hold it")
        run_id = _run_of(name)
        run = self._runs.get(run_id)
        if operation.op == RELEASE:
            demand(run is None or not needs_token(as_run(run)), "I5", f"the slot of {run_id} is freed before it ended")
        else:
            assert operation.op == REQUEUE, operation
            returned = run is not None and run["state"] != RUNNING and run["fence"] >= fence
            demand(returned, "I5", f"the slot of {run_id} is freed before it was fenced off")
            if run is None or not _was_handed_back(run, fence):
                self._demand_idle(run_id, fence)
            self.since[name] = now
        self._count(name, -1)
        del self.held[name]

    def _resumes(self, operation: Operation) -> bool:
        """It goes back to the line by this decision, and had begun."""
        run = self._runs.get(_run_of(operation.token))
        return operation.op == REQUEUE and run is not None and run.get("revoked") != operation.fence

    def _withdraw(self, operation: Operation) -> None:
        name = operation.token
        demand(name not in self.held, "I2", f"{name} is taken out of the line while it is held")
        run = self._runs.get(_run_of(name))
        demand(
            run is not None and not needs_token(as_run(run)),
            "I5",
            f"{name} is taken out of the line, and its run waits",
        )

    def _demand_idle(self, run: str, fence: int) -> None:
        runner = self._is_executing(run, fence)
        demand(runner is None, "I5", f"the slot of {run} is freed while {runner} executes it under {fence}")

    def _grant(self, now: float, operation: Operation, call: Call) -> None:
        name, fence = operation.token, operation.fence
        token = self.tokens.get(name)
        demand(token is not None, "I2", f"{name} is granted, and there is no such token")
        assert token is not None
        demand(name not in self.held, "I2", f"{name} is granted twice")
        last = self.fences.get(token["run"], 0)
        demand(fence > last, "I3", f"{token['run']} is granted under {fence} after {last}")
        demand(self.fleet.was_served(token["run"], call), "I17", f"{token['run']} is let in, and no runner serves it")
        self.turns.demand_turn(name, token, call)
        self.held[name] = fence
        self.fences[token["run"]] = fence
        self.grants += 1
        self._count(name, 1)
        seen = call.views.get(LIMITS_QUERY, 0.0)
        age = call.process.awake_seconds() - call.views.get(LIMITS_AGE, 0.0)
        demand(age < STALE_LIMITS_SECONDS_MAX, "I1", f"a decision on limits read {age:.0f} s ago")
        for scope in _scopes(token):
            most = self._most(scope, seen)
            demand(self._in_use[scope] <= most, "I1", f"{self._in_use[scope]} run in {scope}, where {most} may")

    def has_room(self, token: Item, limits_seen: float) -> bool:
        """By every limit that was in force since then."""
        return all(self._in_use[scope] < self._least(scope, limits_seen) for scope in _scopes(token))

    # --- limits ---------------------------------------------------------------------------------------

    def _history(self, scope: str, since: float) -> Sequence[int]:
        """The limits in force at any moment from `since` on."""
        default = FLEET_LIMIT_DEFAULT if scope == FLEET else LIMIT_MAX
        changes = [(-1.0, default), *self._limits.get(scope, [])]
        last_before = max(place for place, (at, _) in enumerate(changes) if at <= since)
        return [limit for _, limit in changes[last_before:]]

    def _most(self, scope: str, since: float) -> int:
        return max(self._history(scope, since))

    def _least(self, scope: str, since: float) -> int:
        return min(self._history(scope, since))

    def in_use(self, scope: str) -> int:
        return self._in_use[scope]

    def _count(self, name: str, change: int) -> None:
        for scope in _scopes(self.tokens[name]):
            self._in_use[scope] += change
        self.shards.counted(self.tokens[name]["pk"], _scopes(self.tokens[name]), change)

    def state(self) -> dict[str, Any]:
        return {"held": dict(self.held), "waiting": [name for name in self.tokens if name not in self.held]}


def _was_handed_back(run: Item, fence: int) -> bool:
    """By its runner, which had let go of its stages by then (the diary's rule), and may still wait for the answer."""
    requeued = [told["d"]["reason"] for _, told in story(as_run(run)) if told["t"] == "RunRequeued"]
    return run["fence"] == fence and requeued[-1:] in ([STOPPED], [YIELDED])


def _tokens_of(head: str) -> str:
    return head.replace("HEAD", "TK")


def _run_of(token: str) -> str:
    return token.rpartition("#")[2]


def _scopes(token: Item) -> tuple[str, ...]:
    resources = map(resource_scope, token.get("res", ()))
    return (FLEET, tenant_scope(token["tenant"]), workflow_scope(token["wf"]), *resources)
