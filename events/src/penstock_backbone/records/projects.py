"""The projects table: what was asked for (written once by the API), and idempotency keys.

prj_…                      / PROJECT  {tenant, name, requirement, workflow, priority, tags, run_id, created, at, input?,
                                       resources?, …}
KEY#<tenant>#<sha256 hex>  / KEY      {project_id, fingerprint, at}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict, cast

from penstock_backbone.inventory import PROJECTS
from penstock_backbone.records.times import to_text
from penstock_backbone.vocabulary import Item, Key, Missing, Put

PROJECT_SK = "PROJECT"
IDEMPOTENCY_SK = "KEY"


class ProjectItem(TypedDict):
    """`at` in ms; `input` is JSON text, for the workflow's input model; `resources` are what the workflow's stages used when it was accepted; `run_id` is the current run, named by the API so that enqueueing it twice is one run."""

    pk: str
    tenant: str
    name: str
    requirement: str
    workflow: str
    priority: int
    tags: list[str]
    run_id: str
    created: str
    at: int
    resources: NotRequired[list[str]]
    input: NotRequired[str]
    traceparent: NotRequired[str]


def project_key(project_id: str) -> Key:
    return Key(PROJECTS, project_id, PROJECT_SK)


def idempotency_key(tenant: str, key_sha256: str) -> Key:
    return Key(PROJECTS, f"KEY#{tenant}#{key_sha256}", IDEMPOTENCY_SK)


def create_project(
    project_id: str,
    *,
    tenant: str,
    name: str,
    requirement: str,
    workflow: str,
    priority: int,
    tags: list[str],
    run_id: str,
    at: int,
    traceparent: str | None,
    resources: Sequence[str] = (),
    input_text: str = "",
) -> Put:
    """API. Refused with an item of the same run_id: it was our own earlier try."""
    item: Item = {
        "tenant": tenant, "name": name, "requirement": requirement, "workflow": workflow, "priority": priority,
        "tags": tags, "run_id": run_id, "created": to_text(at), "at": at,
    }  # fmt: skip
    if input_text:
        item["input"] = input_text
    if resources:
        item["resources"] = list(resources)
    if traceparent:
        item["traceparent"] = traceparent
    return Put(project_key(project_id), item, when=Missing("pk"))


def claim_idempotency_key(tenant: str, key_sha256: str, *, project_id: str, fingerprint: str, at: int) -> Put:
    """API, in one transaction with create_project. Refused: `item` names the project the key already made."""
    item = {"project_id": project_id, "fingerprint": fingerprint, "at": at}
    return Put(idempotency_key(tenant, key_sha256), item, when=Missing("pk"))


def as_project(item: Item) -> ProjectItem:
    return cast(ProjectItem, item)
