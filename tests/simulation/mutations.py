"""Named bugs in the services' own code, each as a patch of a few named functions.

A patch names what it replaces; when that is gone the mutant fails loudly and has to be written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, cast

import msgspec

from penstock_api.handlers import accept
from penstock_backbone.errors import Retryable
from penstock_backbone.records import runs, sessions
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import QUEUED, RUNNING, enqueue_run
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
from penstock_backbone.vocabulary import Condition, Equals, Refused, Unsettled, Update, Write, Written
from penstock_orchestrator.domain import gate, leases
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.line import Place
from penstock_orchestrator.domain.occupancy import Occupancy
from penstock_orchestrator.domain.verdicts import Executing, Returned, Unclaimed, judge
from penstock_orchestrator.handlers import admission, dispatch, relay, shard, sweep
from penstock_orchestrator.handlers.admission_queue import AdmissionQueue
from penstock_orchestrator.handlers.enqueue import Enqueue
from penstock_orchestrator.handlers.limits import LimitsInForce
from penstock_orchestrator.handlers.stream_consumer import StreamConsumer
from penstock_runner.handlers import claim, journal, session


@dataclass(slots=True)
class Patches:
    """Replaces attributes, and puts them back."""

    _replaced: list[tuple[Any, str, Any]] = field(default_factory=list)

    def put(self, where: Any, name: str, value: Any) -> Any:
        """Returns what stood there."""
        old = where.__dict__[name]
        self._replaced.append((where, name, old))
        setattr(where, name, value)
        return old.__func__ if isinstance(old, staticmethod | classmethod) else old

    @staticmethod
    def change(where: Any, name: str, value: Any) -> None:
        """Of what `put` has replaced already."""
        setattr(where, name, value)

    def undo(self) -> None:
        while self._replaced:
            where, name, old = self._replaced.pop()
            setattr(where, name, old)


@dataclass(frozen=True, slots=True)
class Mutation:
    """`redundant`: why it may survive: another defence stands behind the one it takes away."""

    name: str
    patch: Callable[[Patches], None]
    redundant: str = ""


def _without_condition(patches: Patches, module: ModuleType, name: str) -> None:
    real = patches.put(module, name, None)

    def unconditional(*given: Any, **named: Any) -> Any:
        return msgspec.structs.replace(real(*given, **named), when=None)

    patches.change(module, name, unconditional)


# --- the head and its redo list --------------------------------------------------------------------


def no_compare_and_swap(patches: Patches) -> None:
    _without_condition(patches, shard, "commit_head")


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
        head = commit_head(0, seq=self._seq, operations=operations, commit_id=self._ids.new("dec"))
        applies = [apply_operation(0, operation) for operation in operations]
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

    async def load(self: Any, limits: Limits) -> None:
        known = self.gate
        await real(self, limits)
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


def fence_does_not_grow(patches: Patches) -> None:
    from penstock_orchestrator.domain import decision  # noqa: PLC0415  # only this one needs it

    def operation(op: str, token: str, fence: int) -> Operation:
        return Operation(op, token, max(1, fence - 1) if op == GRANT else fence)

    patches.put(decision, "Operation", operation)


def enqueue_not_transactional(patches: Patches) -> None:
    async def enqueue(self: Any, project: ProjectItem) -> gate.Token | None:
        key = token_sort_key(project["tenant"], project["priority"], project["run_id"])
        run = enqueue_run(project, token=key, shard=0, at=project["at"])
        token = enqueue_token(project, token=key, shard=0, at=project["at"])
        for write in (run, token):
            (outcome,) = await self._tables.write([write])
            if isinstance(outcome, Unsettled):
                raise Retryable(outcome.reason)
            if isinstance(outcome, Refused):
                return None
        return gate.Token.of({"sk": key, **token.item})  # type: ignore[typeddict-item]  # as Enqueue does it

    patches.put(Enqueue, "_enqueue", enqueue)


def token_may_come_back(patches: Patches) -> None:
    from penstock_orchestrator.handlers import enqueue  # noqa: PLC0415  # only this one needs it

    _without_condition(patches, enqueue, "enqueue_run")


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
    patches.put(Limits, "of_workflow", lambda _self, _workflow: None)


def lowered_limits_ignored(patches: Patches) -> None:
    real = patches.put(LimitsInForce, "read", None)

    async def read(self: Any) -> Limits:
        before = self.now.scopes
        new = (await real(self)).scopes
        self.now = Limits({scope: max(limit, before.get(scope, 0)) for scope, limit in new.items()})
        return cast(Limits, self.now)

    patches.change(LimitsInForce, "read", read)


def limits_read_once(patches: Patches) -> None:
    real = patches.put(LimitsInForce, "read", None)

    async def read(self: Any) -> Limits:
        return cast(Limits, self.now if self.now.scopes else await real(self))

    patches.change(LimitsInForce, "read", read)


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
    patches.put(gate, "_place", lambda token: Place(-token.at, token.run, token.key))


def flooding_tenant_first(patches: Patches) -> None:
    from penstock_orchestrator.domain.ranking import Ranking  # noqa: PLC0415  # only this one needs it

    real = patches.put(Ranking, "place", None)

    def place(self: Any, name: str, rank: Any) -> None:
        real(self, name, None if rank is None else (-rank[0], *rank[1:]))

    patches.change(Ranking, "place", place)


def _no_assertion(patches: Patches) -> None:
    """The decision checks itself; here the simulation has to find out."""
    from penstock_orchestrator.domain import decision  # noqa: PLC0415  # only these need it

    patches.put(decision, "_assert_within_limits", lambda *_: None)


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
        return Returned() if isinstance(verdict, kind) else verdict

    patches.put(admission, "judge", judged)


def fence_off_without_condition(patches: Patches) -> None:
    _without_condition(patches, sweep, "fence_off")


def revoke_without_condition(patches: Patches) -> None:
    _without_condition(patches, sweep, "revoke")


def lease_judged_too_early(patches: Patches) -> None:
    patches.put(leases, "LEASE_SECONDS", 3.0)


def session_killed_without_condition(patches: Patches) -> None:
    _without_condition(patches, sweep, "expire_session")


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


# --- the runner ----------------------------------------------------------------------------------------


def claim_without_fence(patches: Patches) -> None:
    real = patches.put(claim, "claim_run", None)

    def claim_run(run: Any, **named: Any) -> Update:
        when = Equals("state", QUEUED) & Equals("seq", run["seq"])
        write: Update = msgspec.structs.replace(real(run, **named), when=when)
        return write

    patches.change(claim, "claim_run", claim_run)


def claim_without_condition(patches: Patches) -> None:
    _without_condition(patches, claim, "claim_run")


def lost_claim_is_a_failure(patches: Patches) -> None:
    patches.put(claim, "is_claimed_by", lambda *_, **__: False)


def _committed_when(patches: Patches, condition: Callable[[int, int], Condition]) -> None:
    patches.put(runs, "_mine", condition)


def commit_without_fence(patches: Patches) -> None:
    _committed_when(patches, lambda _fence, seq: Equals("state", RUNNING) & Equals("seq", seq))


def commit_without_fence_or_number(patches: Patches) -> None:
    _committed_when(patches, lambda _fence, _seq: Equals("state", RUNNING))


def commit_without_number(patches: Patches) -> None:
    _committed_when(patches, lambda fence, _seq: Equals("state", RUNNING) & Equals("fence", fence))


def commit_follows_anybody(patches: Patches) -> None:
    commit_without_fence(patches)

    def follow(self: Any, item: Any) -> None:
        self.seq = item["seq"]

    patches.put(journal.Journal, "_follow", follow)


def terminal_state_overwritten(patches: Patches) -> None:
    _committed_when(patches, lambda fence, _seq: Equals("fence", fence))


def lost_commit_written_again(patches: Patches) -> None:
    patches.put(journal.Journal, "_has_landed", lambda *_: False)


def no_self_fence(patches: Patches) -> None:
    patches.put(session.Session, "is_over", lambda self, _now: self.fenced)


def self_fence_after_the_lease(patches: Patches) -> None:
    patches.put(session, "SELF_FENCE_SECONDS", 16.0)


def self_fence_that_unfences(patches: Patches) -> None:
    real = patches.put(session.Heartbeat, "turn", None)

    async def turn(self: Any) -> float:
        current = self.session
        if current is None or not current.fenced:
            return float(await real(self))
        sent = self._world.clock.monotonic()
        current.beats += 1
        if isinstance(await self._write(sessions.beat(current.id, hb=current.beats)), Written):
            current.fenced, current.heard_at = False, sent
        return 0.5

    patches.change(session.Heartbeat, "turn", turn)


# --- streams, queues, API ------------------------------------------------------------------------------


def relay_skips_a_failed_record(patches: Patches) -> None:
    patches.put(relay, "lowest", lambda *_: None)


def dispatcher_skips_a_failed_record(patches: Patches) -> None:
    patches.put(dispatch, "lowest", lambda *_: None)


def settled_before_published(patches: Patches) -> None:
    real = patches.put(StreamConsumer, "handle", None)

    async def handle(self: Any) -> None:
        if self._waiting:
            await self._streams.settle(self._definition.name, self._waiting[-1].sequence)
        await real(self)

    patches.change(StreamConsumer, "handle", handle)


def hint_deleted_before_decided(patches: Patches) -> None:
    real = patches.put(AdmissionQueue, "receive", None)

    async def receive(self: Any, *given: Any) -> None:
        await real(self, *given)
        messages, self._arrived.messages = self._arrived.messages, []
        self._done += [receipt for receipt, _ in messages]
        self._has_done.set()

    patches.change(AdmissionQueue, "receive", receive)


def key_not_in_the_transaction(patches: Patches) -> None:
    real = patches.put(accept.Acceptance, "_transact", None)

    async def transact(self: Any, put: Any, submission: Any, key: str) -> Any:
        await self._write(put)
        return await real(self, self._put(submission), submission, key)

    patches.change(accept.Acceptance, "_transact", transact)


def release_without_fence(patches: Patches) -> None:
    def apply(number: int, operation: Operation) -> Write:
        write = apply_operation(number, operation)
        if operation.op == "release":
            assert write.key == token_key(number, operation.token)
            return msgspec.structs.replace(write, when=None)
        return write

    patches.put(shard, "apply_operation", apply)


MUTATIONS = (
    Mutation("no compare-and-swap on the head", no_compare_and_swap),
    Mutation("the redo list is not applied", redo_list_not_applied),
    Mutation("unsettled applies are forgotten", unsettled_applies_forgotten),
    Mutation(
        "a decision does not recognise itself",
        commit_id_not_recognised,
        "taken for overtaken, it is read back from the table, redo list and all, before anybody decides again",
    ),
    Mutation("a lost decision is taken as made", lost_decision_taken_as_made),
    Mutation("an overtaken gate is not read again", gate_not_read_again),
    Mutation("a token is taken back without its fence", requeue_without_fence),
    Mutation("a token is given without its fence", grant_without_fence),
    Mutation(
        "a token is ended without its fence",
        release_without_fence,
        "a release is decided for a run that is over, and nothing is ever granted for it again",
    ),
    Mutation("the fence does not grow", fence_does_not_grow),
    Mutation("enqueueing is two writes", enqueue_not_transactional),
    Mutation("a late enqueue begins a run anew", token_may_come_back),
    Mutation("== instead of >= for the fleet's limit", equals_instead_of_at_least),
    Mutation("a tenant's limit is off by one", tenant_limit_off_by_one),
    Mutation("a workflow's limit is not read", workflow_limit_not_read),
    Mutation("a lowered limit is ignored", lowered_limits_ignored),
    Mutation("limits are read once", limits_read_once),
    Mutation("the held set is a counter", counter_instead_of_set),
    Mutation("last come, first served", last_come_first_served),
    Mutation("whoever holds most comes first", flooding_tenant_first),
    Mutation("a slot is freed before its run is fenced off", released_before_fenced_off),
    Mutation("a grant is revoked without a fence", revoked_without_fence),
    Mutation("a run is fenced off without a condition", fence_off_without_condition),
    Mutation("a grant is revoked without a condition", revoke_without_condition),
    Mutation("a lease is judged too early", lease_judged_too_early),
    Mutation(
        "a session is ended without a condition",
        session_killed_without_condition,
        "whoever was silent for a lease has given itself up before, so there is nobody to be wronged",
    ),
    Mutation("a dead session is not noticed", dead_sessions_unnoticed),
    Mutation("a grant is not dispatched again", no_redispatch, "after 15 s it is revoked and granted anew"),
    Mutation("a grant is neither dispatched again nor revoked", no_redispatch_no_revoke),
    Mutation("a claim without the fence", claim_without_fence),
    Mutation("a claim without any condition", claim_without_condition),
    Mutation("the lost answer of a claim is a failure", lost_claim_is_a_failure),
    Mutation(
        "a commit without the fence",
        commit_without_fence,
        "every change of owner adds a fact, so the number alone refuses the old owner",
    ),
    Mutation("a commit without fence and number", commit_without_fence_or_number),
    Mutation("a commit without its number", commit_without_number),
    Mutation("a commit that follows anybody", commit_follows_anybody),
    Mutation("a terminal state is overwritten", terminal_state_overwritten),
    Mutation("a commit that had landed is written again", lost_commit_written_again),
    Mutation("no self-fence", no_self_fence),
    Mutation("the self-fence comes after the lease", self_fence_after_the_lease),
    Mutation("a self-fence that un-fences", self_fence_that_unfences),
    Mutation("the relay skips a failed record", relay_skips_a_failed_record),
    Mutation(
        "the dispatcher skips a failed record",
        dispatcher_skips_a_failed_record,
        "the sweep sends an unclaimed grant again after 5 s",
    ),
    Mutation("records are settled before they are published", settled_before_published),
    Mutation("a hint is deleted before it is decided on", hint_deleted_before_decided),
    Mutation("the idempotency key is not in the transaction", key_not_in_the_transaction),
)
