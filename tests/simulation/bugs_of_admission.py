"""Bugs in the orchestrator's heads, tokens and sweep: each a patch of a few named functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from tests.simulation.patches import Patches, without_condition

from penstock_backbone.errors import Retryable
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import enqueue_run
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
from penstock_orchestrator.domain import leases
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.domain.verdicts import Executing, Returned, Unclaimed, judge
from penstock_orchestrator.handlers import admission, shard, sweep
from penstock_orchestrator.handlers.enqueue import Enqueue

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


# --- fencing off ---------------------------------------------------------------------------------------


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
