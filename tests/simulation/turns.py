"""Checks whose turn it is, and that no slot stays free which somebody could take (I9, I10, I19)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from tests.simulation.machine import Process
from tests.simulation.network import LIMITS_QUERY, Call, waits
from tests.simulation.shares import Shares
from tests.simulation.sightings import Sightings
from tests.simulation.violations import demand

from penstock_backbone.records.limits import tenant_scope
from penstock_backbone.records.tokens import REQUEUE, WAITING, Operation
from penstock_backbone.vocabulary import Item

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger

IDLE_SECONDS_MAX = 35.0
"""After the faults: whoever missed a hint reads everything within 30 s."""


class Turns:
    """Judged by what the decider must have seen: what stood in the table before it last read it all, what waits by its own
    gate, what an earlier decision has sent back to the line (nobody decides who does not know that one), and what resumes
    after this very decision. `decision_max` and `age_ms` are those of this world's services."""

    def __init__(self, ledger: Ledger, shares: Shares, sightings: Sightings, decision_max: int, age_ms: int) -> None:
        self._ledger = ledger
        self._shares = shares
        self._sightings = sightings
        self._decision_max = decision_max
        self._age_ms = age_ms
        self._resuming: Collection[str] = ()
        self._sent_back: set[str] = set()
        self._decided_last: dict[str, tuple[float, Process]] = {}
        self._commit_ids: set[str] = set()
        self._idle_since: dict[str, float] = {}

    def arrived(self, name: str) -> None:
        self._sent_back.discard(name)

    def decided(self, now: float, shard: str, call: Call, commit_id: str, resuming: Collection[str]) -> None:
        """Before its operations are gone through."""
        self._resuming = resuming
        self._decided_last[shard] = now, call.process
        self._commit_ids.add(commit_id)

    def sent_back(self, operations: Iterable[Operation]) -> None:
        """By a decision that has been gone through."""
        self._sent_back |= {operation.token for operation in operations if operation.op == REQUEUE}

    # --- whose turn it is -----------------------------------------------------------------------------

    def demand_turn(self, name: str, token: Item, call: Call) -> None:
        ledger = self._ledger
        fleet, in_use = ledger.fleet, ledger.in_use
        knows_all = self._knows_all(call, token["pk"])
        limits_seen = call.views.get(LIMITS_QUERY, 0.0)
        for other_name, other in ledger.tokens.items():
            if other_name == name or not (other_name in self._resuming or self._is_in_line(other_name, other, call)):
                continue
            resumes = other_name in self._resuming
            if not fleet.is_surely_served(other["run"], call):
                if other["at"] < token["at"] and not fleet.was_served(other["run"], call):
                    self._sightings.note("a run was passed over that no runner served")
                continue
            if other["tenant"] == token["tenant"]:
                self._demand_turn_in_tenant(name, other_name, knows_all=knows_all, limits_seen=limits_seen)
            elif not resumes and other["pk"] == token["pk"] and knows_all and self._has_room(other, limits_seen):
                here, there = tenant_scope(token["tenant"]), tenant_scope(other["tenant"])
                self._shares.demand_turn(here, there, (in_use(here), in_use(there)), limits_seen)

    def _demand_turn_in_tenant(self, name: str, other_name: str, *, knows_all: bool, limits_seen: float) -> None:
        """In one line first come, first served; of two lines the more urgent run, where it has room."""
        token, other = self._ledger.tokens[name], self._ledger.tokens[other_name]
        same_line = other["wf"] == token["wf"] and other["prio"] == token["prio"]
        if self._urgency(other) > self._urgency(token):
            if not same_line and other["at"] < token["at"]:
                self._sightings.note("a more urgent run came before an older one")
            elif other["prio"] < token["prio"]:
                self._sightings.note("a run has waited for so long that it came before a higher priority")
            return
        demand(not same_line, "I9", f"{name} was let in before {other_name}")
        if not self._has_room(other, limits_seen):
            if other["at"] < token["at"] and other_name not in self._resuming:
                self._sightings.note("a run was passed over at a limit of its own (44)")
            return
        demand(not knows_all, "I9", f"{name} was let in before {other_name}, which is more urgent and has room")

    def _urgency(self, token: Item) -> tuple[int, int, str]:
        return token["at"] + (token["prio"] - 1) * self._age_ms, token["at"], token["run"]

    # --- what stays free ------------------------------------------------------------------------------

    def demand_used(self, shard: str, operations: Collection[Operation], call: Call) -> None:
        """After a decision: who still waits has no room. A full one is followed by the next, and so is one that takes tokens
        back; with several shards there may be no budget for whose turn it is (see demand_used_in_the_end). Whoever only fences a head
        has seen nothing."""
        if not call.views:
            return
        if len(operations) >= self._decision_max:
            self._sightings.note("a decision was full")
            return
        if self._ledger.shards.count > 1 or any(operation.op == REQUEUE for operation in operations):
            return
        limits_seen = call.views.get(LIMITS_QUERY, 0.0)
        for name, token in self._ledger.tokens.items():
            if self._is_in_line(name, token, call) and self._has_room(token, limits_seen):
                served = self._ledger.fleet.is_surely_served(token["run"], call)
                demand(not served, "I19", f"{name} waits after a decision at {shard}, and there is room for it")

    def demand_used_in_the_end(self, now: float) -> None:
        """Called again and again once nothing goes wrong any more."""
        ledger = self._ledger
        idle = {
            name: self._idle_since.get(name, now)
            for name, token in ledger.tokens.items()
            if name not in ledger.held
            and token["st"] == WAITING
            and self._has_room(token, now)
            and ledger.fleet.serves(token["run"])
        }
        self._idle_since = idle
        for name, since in idle.items():
            seconds = now - since
            demand(seconds < IDLE_SECONDS_MAX, "I19", f"{name} waits for {seconds:.0f} s, and there is room for it")

    # --- what the decider knows -----------------------------------------------------------------------

    def _is_in_line(self, name: str, token: Item, call: Call) -> bool:
        ledger = self._ledger
        if name in ledger.held or name in ledger.withdrawn or token["st"] != WAITING:
            return False
        known = waits(name) in call.views or name in self._sent_back
        return known or ledger.since[name] < call.views.get(f"tables.query {token['pk']}", 0.0)

    def _knows_all(self, call: Call, shard: str) -> bool:
        """Whether the decider knows what the other shards hold, and holds nothing more for true than has been committed:
        each decides on a head of its own, so nothing but what it has read or decided itself tells whether there is room in
        a scope that they share."""
        for head, (at, process) in self._decided_last.items():
            query = f"tables.query {head.replace('HEAD', 'TK')}"
            if not query.endswith(shard) and process is not call.process and at >= call.views.get(query, 0.0):
                return False
        for key, (commit_id, seen) in call.process.decided.items():
            query = f"tables.query {key.pk.replace('HEAD', 'TK')}"
            read_since = call.views.get(query, 0.0) > seen.get(query, 0.0)
            if not query.endswith(shard) and commit_id not in self._commit_ids and not read_since:
                return False
        return True

    def _has_room(self, token: Item, limits_seen: float) -> bool:
        return self._ledger.has_room(token, limits_seen)
