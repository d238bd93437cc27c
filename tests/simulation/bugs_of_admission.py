"""Bugs in the orchestrator's decisions, tokens and sweep: each a patch of a few named functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from tests.simulation.patches import Patches, without_condition

from penstock_backbone.errors import Retryable
from penstock_backbone.records.limits import resource_scope, workflow_scope
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import enqueue_run
from penstock_backbone.records.sessions import Served
from penstock_backbone.records.tokens import (
    GRANT,
    REQUEUE,
    Operation,
    apply_operation,
    commit_head,
    enqueue_token,
    token_key,
    token_sort_key,
)
from penstock_backbone.vocabulary import Delete, Equals, Refused, Unsettled, Write, Written
from penstock_orchestrator.domain import leases, limits
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.occupancy import Occupancy
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.domain.verdicts import Executing, Returned, Unclaimed, judge
from penstock_orchestrator.handlers import admission, shard, sweep
from penstock_orchestrator.handlers.enqueue import Enqueue
from penstock_orchestrator.handlers.limits import LimitsInForce

# --- the head and its redo list --------------------------------------------------------------------


def no_compare_and_swap(patches: Patches) -> None:
    without_condition(patches, shard, "commit_head")


def redo_list_not_applied(patches: Patches) -> None:
    patches.put(shard, "pending", lambda _head: [])


def unsettled_applies_forgotten(patches: Patches) -> None:
    patches.put(shard, "_unsettled", lambda _operations, _outcomes: [])


def commit_id_not_recognised(patches: Patches) -> None:
    real = patches.put(shard.Shard, "commit", None)

    async def commit(self: Any, operations: Sequence[Operation]) -> bool:
        tables = self._tables

        class Forgetful:
            async def write_after(self, guard: Write, followers: Sequence[Write]) -> Any:
                outcome, answers = await tables.write_after(guard, followers)
                if isinstance(outcome, Refused) and outcome.item is not None:
                    outcome = Refused(outcome.item | {"cid": ""})
                return outcome, answers

        self._tables = Forgetful()
        try:
            return bool(await real(self, operations))
        finally:
            self._tables = tables

    patches.change(shard.Shard, "commit", commit)


def lost_decision_taken_as_made(patches: Patches) -> None:
    async def commit(self: Any, operations: Sequence[Operation]) -> bool:
        head = commit_head(self.number, seq=self._seq, operations=operations, commit_id=self._ids.new("dec"))
        applies = [apply_operation(self.number, operation) for operation in operations]
        try:
            outcome, answers = await self._tables.write_after(head, applies)
        except Retryable:
            outcome, answers = Written(), []
        if isinstance(outcome, Refused):
            self.is_current = False
            return False
        self._committed(operations, answers)
        return True

    patches.put(shard.Shard, "commit", commit)


def gate_not_read_again(patches: Patches) -> None:
    real = patches.put(shard.Shard, "load", None)

    async def load(self: Any, head: Any, now: Limits) -> None:
        known = self.gate
        await real(self, head, now)
        if known.held:
            self.gate = known

    patches.change(shard.Shard, "load", load)


# --- tokens --------------------------------------------------------------------------------------------


def _apply_without_fence(patches: Patches, kind: str, state: str) -> None:
    def apply(number: int, operation: Operation) -> Write:
        write = apply_operation(number, operation)
        if operation.op == kind:
            return msgspec.structs.replace(write, when=Equals("st", state))
        return write

    patches.put(shard, "apply_operation", apply)


def requeue_without_fence(patches: Patches) -> None:
    _apply_without_fence(patches, REQUEUE, "held")


def grant_without_fence(patches: Patches) -> None:
    _apply_without_fence(patches, GRANT, "waiting")


def release_without_fence(patches: Patches) -> None:
    def apply(number: int, operation: Operation) -> Write:
        write = apply_operation(number, operation)
        if operation.op == "release":
            assert write.key == token_key(number, operation.token)
            return msgspec.structs.replace(write, when=None)
        return write

    patches.put(shard, "apply_operation", apply)


def fence_does_not_grow(patches: Patches) -> None:
    from penstock_orchestrator.domain import decision  # noqa: PLC0415  # only this one needs it

    def operation(op: str, token: str, fence: int) -> Operation:
        return Operation(op, token, max(1, fence - 1) if op == GRANT else fence)

    patches.put(decision, "Operation", operation)


def enqueue_not_transactional(patches: Patches) -> None:
    async def enqueue(self: Any, project: ProjectItem) -> Token | None:
        key = token_sort_key(project["tenant"], project["priority"], project["run_id"])
        shard = self._home(project["tenant"])
        run = enqueue_run(project, token=key, shard=shard, at=project["at"])
        token = enqueue_token(project, token=key, shard=shard, at=project["at"])
        for write in (run, token):
            (outcome,) = await self._tables.write([write])
            if isinstance(outcome, Unsettled):
                raise Retryable(outcome.reason)
            if isinstance(outcome, Refused):
                return None
        return Token.of({"sk": key, **token.item})  # type: ignore[typeddict-item]  # as Enqueue does it

    patches.put(Enqueue, "_enqueue", enqueue)


def token_may_come_back(patches: Patches) -> None:
    from penstock_orchestrator.handlers import enqueue  # noqa: PLC0415  # only this one needs it

    without_condition(patches, enqueue, "enqueue_run")


# --- the decision --------------------------------------------------------------------------------------


def equals_instead_of_at_least(patches: Patches) -> None:
    def fleet_is_full(self: Occupancy) -> bool:
        return len(self.held) == self.limits.fleet

    patches.put(Occupancy, "fleet_is_full", fleet_is_full)
    _no_assertion(patches)


def tenant_limit_off_by_one(patches: Patches) -> None:
    def tenant_is_full(self: Occupancy, tenant: str) -> bool:
        limit = self.limits.of_tenant(tenant)
        return limit is not None and self.of_tenant(tenant) > limit

    patches.put(Occupancy, "tenant_is_full", tenant_is_full)
    _no_assertion(patches)


def workflow_limit_not_read(patches: Patches) -> None:
    _scopes_not_read(patches, workflow_scope(""))


def resource_limit_not_read(patches: Patches) -> None:
    _scopes_not_read(patches, resource_scope(""))


def _scopes_not_read(patches: Patches, prefix: str) -> None:
    def of_scope(self: Limits, scope: str) -> int | None:
        return None if scope.startswith(prefix) else self.scopes.get(scope)

    patches.put(Limits, "of_scope", of_scope)


def only_the_first_scope_counts(patches: Patches) -> None:
    def kind_is_full(self: Occupancy, kind: tuple[str, ...]) -> bool:
        limit = self.limits.of_scope(kind[0]) if kind else None
        return limit is not None and self.of_scope(kind[0]) >= limit

    patches.put(Occupancy, "kind_is_full", kind_is_full)
    _no_assertion(patches)


def lowered_limits_ignored(patches: Patches) -> None:
    real = patches.put(LimitsInForce, "read", None)

    async def read(self: Any) -> Limits:
        before = self.now.scopes
        new = (await real(self)).scopes
        self.now = Limits({scope: max(limit, before.get(scope, 0)) for scope, limit in new.items()})
        return cast(Limits, self.now)

    patches.change(LimitsInForce, "read", read)


def pauses_ignored(patches: Patches) -> None:
    real = patches.put(limits, "stated", None)
    patches.change(limits, "stated", lambda scope, item: real(scope, item)._replace(paused=False))


def limits_read_once(patches: Patches) -> None:
    real = patches.put(LimitsInForce, "read", None)

    async def read(self: Any) -> Limits:
        return cast(Limits, self.now if self.now.scopes else await real(self))

    patches.change(LimitsInForce, "read", read)


def unserved_let_in(patches: Patches) -> None:
    patches.put(Limits, "is_served", lambda _self, _needs: True)


def served_read_once(patches: Patches) -> None:
    real = patches.put(LimitsInForce, "serve", None)

    def serve(self: Any, served: Served) -> bool:
        return bool(self.now.served is None and real(self, served))

    patches.change(LimitsInForce, "serve", serve)


def version_forgotten_on_the_way_back(patches: Patches) -> None:
    real = patches.put(admission.Admission, "_ending", None)

    def ending(*given: Any) -> list[Operation]:
        return [operation._replace(version="") for operation in real(*given)]

    patches.change(admission.Admission, "_ending", ending)


def lost_runs_lose_their_turns(patches: Patches) -> None:
    real = patches.put(admission.Admission, "_endings", None)

    def endings(self: Any, runs: Any) -> tuple[list[Operation], set[str]]:
        found, _ = real(self, runs)
        return found, set()

    patches.change(admission.Admission, "_endings", endings)


def counter_instead_of_set(patches: Patches) -> None:
    """Counts moves and never counts again, so what others did in between is lost."""
    counts: dict[int, int] = {}
    add, remove = patches.put(Occupancy, "add", None), patches.put(Occupancy, "remove", None)

    def counted_add(self: Occupancy, token: str, tenant: str, workflow: str) -> None:
        add(self, token, tenant, workflow)
        counts[0] = counts.get(0, 0) + 1

    def counted_remove(self: Occupancy, token: str, tenant: str, workflow: str) -> None:
        remove(self, token, tenant, workflow)
        counts[0] -= 1

    patches.change(Occupancy, "add", counted_add)
    patches.change(Occupancy, "remove", counted_remove)
    patches.put(Occupancy, "fleet_is_full", lambda self: counts.get(0, 0) >= self.limits.fleet)
    _no_assertion(patches)


def last_come_first_served(patches: Patches) -> None:
    real = patches.put(Gate, "wait", None)
    patches.change(Gate, "wait", lambda self, token: real(self, token._replace(at=-token.at)))


def flooding_tenant_first(patches: Patches) -> None:
    real = patches.put(Occupancy, "share", None)
    patches.change(Occupancy, "share", lambda self, tenant: -real(self, tenant))


def _no_assertion(patches: Patches) -> None:
    """The decision checks itself; here the simulation has to find out."""
    from penstock_orchestrator.domain import decision  # noqa: PLC0415  # only these need it

    patches.put(decision, "_assert_within_limits", lambda *_: None)


# --- fencing off ---------------------------------------------------------------------------------------


def weights_not_read(patches: Patches) -> None:
    patches.put(Limits, "weight", lambda _self, _tenant: 1)


def least_shares_not_read(patches: Patches) -> None:
    patches.put(Limits, "min_share", lambda _self, _tenant: 0)


def released_before_fenced_off(patches: Patches) -> None:
    async def fence_off(_self: Any, lost: Sequence[Any]) -> set[str]:
        return {token.run for token, _ in lost}

    patches.put(sweep.Sweep, "_fence_off", fence_off)
    _judged_returned(patches, Executing)


def revoked_without_fence(patches: Patches) -> None:
    async def revoke(_self: Any, tokens: Sequence[Any]) -> set[str]:
        return {token.run for token in tokens}

    patches.put(sweep.Sweep, "_revoke", revoke)
    _judged_returned(patches, Unclaimed)


def _judged_returned(patches: Patches, kind: type) -> None:
    def judged(*given: Any) -> Any:
        verdict = judge(*given)
        return Returned(resumes=True) if isinstance(verdict, kind) else verdict

    patches.put(admission, "judge", judged)


def fence_off_without_condition(patches: Patches) -> None:
    without_condition(patches, sweep, "fence_off")


def revoke_without_condition(patches: Patches) -> None:
    without_condition(patches, sweep, "revoke")


def lease_judged_too_early(patches: Patches) -> None:
    patches.put(leases, "LEASE_SECONDS", 3.0)


def session_killed_without_condition(patches: Patches) -> None:
    without_condition(patches, sweep, "expire_session")


def dead_sessions_unnoticed(patches: Patches) -> None:
    patches.put(leases.Leases, "has_expired", lambda *_: False)


def no_redispatch(patches: Patches) -> None:
    async def redispatch(_self: Any, _tokens: Sequence[Any]) -> None:
        """Nothing is sent again."""

    patches.put(sweep.Sweep, "_redispatch", redispatch)


def no_redispatch_no_revoke(patches: Patches) -> None:
    async def revoke(_self: Any, _tokens: Sequence[Any]) -> set[str]:
        return set()

    no_redispatch(patches)
    patches.put(sweep.Sweep, "_revoke", revoke)


# --- cancelling ------------------------------------------------------------------------------------------


def withdrawn_without_a_decision(patches: Patches) -> None:
    """The waiting token of a cancelled run is deleted as soon as somebody hears of it."""

    async def turn(self: Any, hints: Any) -> Any:
        for run in hints.ended.values():
            token = self.shards.waiting(run["token"])
            if token is not None:
                home = self.shards.home(token.tenant)
                home.gate.leave(token)
                await self._tables.write([Delete(token_key(home.number, token.key))])
        return await real(self, hints)

    real = patches.put(admission.Admission, "_turn", turn)
