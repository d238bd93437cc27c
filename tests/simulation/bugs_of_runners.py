"""Bugs in runners, streams, queues and API: each a patch of a few named functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from tests.simulation.patches import Patches, without_condition

from penstock_api.handlers import accept
from penstock_backbone.errors import Retryable
from penstock_backbone.records import runs, sessions, verbs
from penstock_backbone.records.projects import claim_idempotency_key
from penstock_backbone.records.runs import CANCELLED, QUEUED, RUNNING
from penstock_backbone.vocabulary import Condition, Equals, Refused, Unsettled, Update, Written
from penstock_orchestrator.handlers import dispatch, relay
from penstock_orchestrator.handlers.admission_queue import AdmissionQueue
from penstock_orchestrator.handlers.stream_consumer import StreamConsumer
from penstock_runner.handlers import claim, journal, session

# --- the runner ----------------------------------------------------------------------------------------


def claim_without_fence(patches: Patches) -> None:
    real = patches.put(claim, "claim_run", None)

    def claim_run(run: Any, **named: Any) -> Update:
        when = Equals("state", QUEUED) & Equals("seq", run["seq"])
        write: Update = msgspec.structs.replace(real(run, **named), when=when)
        return write

    patches.change(claim, "claim_run", claim_run)


def claim_without_condition(patches: Patches) -> None:
    without_condition(patches, claim, "claim_run")


def lost_claim_is_a_failure(patches: Patches) -> None:
    patches.put(claim, "is_claimed_by", lambda *_, **__: False)


def _committed_when(patches: Patches, condition: Callable[[int, int], Condition]) -> None:
    patches.put(runs, "owned", condition)


def commit_without_fence(patches: Patches) -> None:
    _committed_when(patches, lambda _fence, seq: Equals("state", RUNNING) & Equals("seq", seq))


def commit_without_fence_or_number(patches: Patches) -> None:
    _committed_when(patches, lambda _fence, _seq: Equals("state", RUNNING))


def commit_without_number(patches: Patches) -> None:
    _committed_when(patches, lambda fence, _seq: Equals("state", RUNNING) & Equals("fence", fence))


def commit_follows_anybody(patches: Patches) -> None:
    """Whoever owns the run is taken for this session; cancelling, pausing and news are heard as before."""
    commit_without_fence(patches)
    real = patches.put(journal.Journal, "_follow", None)

    def follow(self: Any, item: Any, state: str | None) -> None:
        real(self, item and {**item, "fence": self.fence, "session": self.session.id}, state)

    patches.change(journal.Journal, "_follow", follow)


def terminal_state_overwritten(patches: Patches) -> None:
    _committed_when(patches, lambda fence, seq: Equals("fence", fence) & Equals("seq", seq))


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
        match await self._write(sessions.beat(current.id, hb=current.beats)):
            case Written():
                current.fenced, current.heard_at = False, sent
            case Refused():
                return float(await real(self))
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
    """The project is written first, and then its key."""

    async def transact(self: Any, put: Any, submission: Any, key: str) -> Any:
        accepted = await self._write(put)
        claim = claim_idempotency_key(
            submission.tenant,
            accept._sha256(key),
            project_id=put.key.pk,
            fingerprint=submission.project.fingerprint,
            at=put.item["at"],
        )
        (outcome,) = await self._tables.write([claim])
        if isinstance(outcome, Unsettled):
            raise Retryable(outcome.reason)
        if isinstance(outcome, Refused) and outcome.item is not None and outcome.item["project_id"] != put.key.pk:
            return await self._replay(outcome.item, submission)
        return accepted

    patches.put(accept.Acceptance, "_transact", transact)


# --- cancelling ------------------------------------------------------------------------------------------


def wish_to_cancel_overlooked(patches: Patches) -> None:
    real = patches.put(journal.Journal, "_follow", None)

    def follow(self: Any, item: Any, _state: str | None) -> None:
        real(self, item, CANCELLED)

    patches.change(journal.Journal, "_follow", follow)


def cancelled_without_a_condition(patches: Patches) -> None:
    without_condition(patches, verbs, "cancel_waiting")
