"""Accepts a project: one conditional write, which a repetition recognises as its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from penstock_api.domain.new_project import NewProject, Violation
from penstock_api.handlers.catalog import Catalog
from penstock_backbone.errors import Fatal, Retryable
from penstock_backbone.ports import Clock, Ids, Tables
from penstock_backbone.records.projects import (
    ProjectItem,
    as_project,
    claim_idempotency_key,
    create_project,
    idempotency_key,
    project_key,
)
from penstock_backbone.records.runs import RunItem, as_run, run_key
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import Cancelled, Committed, Item, Put, Refused, Unsettled, Written

ATTEMPTS_MAX = 3
BACKOFF_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Submission:
    tenant: str
    project: NewProject
    key: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    project: ProjectItem


@dataclass(frozen=True, slots=True)
class Replayed:
    """The key had made this project before, from the same request."""

    project: ProjectItem
    run: RunItem | None


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key had made another project, from another request."""

    project_id: str


@dataclass(frozen=True, slots=True)
class UnknownWorkflow:
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NothingAnnounced:
    """No runner has said yet what it can execute."""


@dataclass(frozen=True, slots=True)
class InputMisfit:
    """The run would fail at once."""

    violations: tuple[Violation, ...]


Refusal: TypeAlias = UnknownWorkflow | NothingAnnounced | InputMisfit
Verdict: TypeAlias = Accepted | Replayed | KeyReused | Refusal


class Acceptance:
    def __init__(self, tables: Tables, catalog: Catalog, clock: Clock, ids: Ids) -> None:
        self._tables = tables
        self._catalog = catalog
        self._clock = clock
        self._ids = ids

    async def accept(self, submission: Submission) -> Verdict:
        refusal = await self._refusal(submission.project)
        if refusal is not None:
            return await self._earlier(submission) or refusal
        put = self._put(submission, await self._catalog.resources_of(submission.project.workflow))
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                if submission.key is None:
                    return await self._write(put)
                return await self._transact(put, submission, submission.key)
            except Retryable:
                if attempt == ATTEMPTS_MAX:
                    raise
                await self._clock.sleep(BACKOFF_SECONDS * attempt)
        raise AssertionError("the last attempt returns or raises")

    def _put(self, submission: Submission, resources: Sequence[str]) -> Put:
        project = submission.project
        return create_project(
            self._ids.new("prj"),
            tenant=submission.tenant,
            name=project.title,
            requirement=project.requirement,
            workflow=project.workflow,
            priority=project.priority,
            tags=project.tags,
            run_id=self._ids.new("run"),
            at=to_ms(self._clock.now()),
            traceparent=submission.traceparent,
            resources=resources,
            input_text=project.input_text,
        )

    async def _write(self, put: Put) -> Accepted:
        (outcome,) = await self._tables.write([put])
        match outcome:
            case Written():
                return _accepted(put)
            case Refused(item):
                return _own_earlier_success(put, item)
            case Unsettled(reason):
                raise Retryable(reason)
            case _ as never:
                assert_never(never)

    async def _transact(self, put: Put, submission: Submission, key: str) -> Verdict:
        claim = claim_idempotency_key(
            submission.tenant,
            _sha256(key),
            project_id=put.key.pk,
            fingerprint=submission.project.fingerprint,
            at=put.item["at"],
        )
        outcome = await self._tables.transact([claim, put])
        match outcome:
            case Committed():
                return _accepted(put)
            case Cancelled((Refused(item), *_)):
                assert item is not None, "the key was refused because it is there"
                if item["project_id"] == put.key.pk:
                    return _accepted(put)
                return await self._replay(item, submission)
            case Cancelled((None, Refused(item), *_)):
                return _own_earlier_success(put, item)
            case Cancelled():
                raise Retryable("another transaction touched the same items: try again")
            case _ as never:
                assert_never(never)

    async def _refusal(self, project: NewProject) -> Refusal | None:
        if await self._catalog.knows(project.workflow):
            wrong = await self._catalog.misfits(project.workflow, project.input)
            return InputMisfit(wrong) if wrong else None
        known = await self._catalog.known()
        return UnknownWorkflow(tuple(sorted(known))) if known else NothingAnnounced()

    async def _earlier(self, submission: Submission) -> Replayed | KeyReused | None:
        """What was accepted once stays accepted, even when its workflow has changed or gone since."""
        if submission.key is None:
            return None
        (item,) = await self._tables.get([idempotency_key(submission.tenant, _sha256(submission.key))])
        return None if item is None else await self._replay(item, submission)

    async def _replay(self, key_item: Item, submission: Submission) -> Replayed | KeyReused:
        if key_item["fingerprint"] != submission.project.fingerprint:
            return KeyReused(key_item["project_id"])
        (stored,) = await self._tables.get([project_key(key_item["project_id"])])
        assert stored is not None, "a key and its project are written in one transaction"
        project = as_project(stored)
        (run,) = await self._tables.get([run_key(project["run_id"])])
        return Replayed(project, as_run(run) if run else None)


def _accepted(put: Put) -> Accepted:
    return Accepted(as_project({"pk": put.key.pk, **put.item}))


def _own_earlier_success(put: Put, item: Item | None) -> Accepted:
    if item is not None and item["run_id"] == put.item["run_id"]:
        return _accepted(put)
    raise Fatal(f"the new project id {put.key.pk} is taken: is the id source of this machine broken?")


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
