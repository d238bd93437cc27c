"""The tokens table, which only the orchestrator changes: one head a shard, one token a run that waits or runs.

    HEAD#<shard> / HEAD                          {seq, cid, pend: [[op, token sk, fence, version?], …], ledger?}
    TK#<shard>   / <tenant>#<priority>#<run id>  {st: waiting|held, f, run, project, tenant, wf, prio, at, res?, ver?}

The head's compare-and-swap on `seq` is the only mutual exclusion; `pend` is the redo list: anyone may
finish applying it, because every apply is conditional on the fence and does nothing the second time.
`ver` is the version that the run keeps: a token that goes back to the line, or is made again, carries it.
What several shards may hold stands in the ledger (records.shards), which the head names with `ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, NotRequired, TypedDict, cast

from penstock_backbone.inventory import TOKENS
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import RunItem
from penstock_backbone.records.times import from_text
from penstock_backbone.vocabulary import Delete, Equals, Item, Key, Less, Missing, Put, Query, Update, Write

HEAD_SK = "HEAD"
PEND_MAX = 99
"""Operations a decision: the head and its applies fit one batch."""

WAITING = "waiting"
HELD = "held"

GRANT: Literal["grant"] = "grant"
RELEASE: Literal["release"] = "release"
REQUEUE: Literal["requeue"] = "requeue"
WITHDRAW: Literal["withdraw"] = "withdraw"


class Operation(NamedTuple):
    """One line of the redo list: give, end, or take back the token `token` (a sort key) under `fence`; or take it out of
    the line, where it waits with that fence behind it. `version`: of a run that has begun, where its token is taken back."""

    op: str
    token: str
    fence: int
    version: str = ""


class TokenItem(TypedDict):
    pk: str
    sk: str
    st: str
    f: int
    run: str
    project: str
    tenant: str
    wf: str
    prio: int
    at: int
    res: NotRequired[list[str]]
    ver: NotRequired[str]


def head_key(shard: int) -> Key:
    return Key(TOKENS, f"HEAD#{shard}", HEAD_SK)


def token_key(shard: int, token: str) -> Key:
    return Key(TOKENS, f"TK#{shard}", token)


def token_sort_key(tenant: str, priority: int, run_id: str) -> str:
    return f"{tenant}#{priority}#{run_id}"


def all_tokens(shard: int) -> Query:
    return Query(TOKENS, f"TK#{shard}", limit=1000)


def as_token(item: Item) -> TokenItem:
    return cast(TokenItem, item)


def create_head(shard: int) -> Put:
    return Put(head_key(shard), {"seq": 0, "cid": "", "pend": []}, when=Missing("pk"))


def enqueue_token(project: ProjectItem, *, token: str, shard: int, at: int) -> Put:
    """In one transaction with the run: a late copy cannot bring back the token of a finished run."""
    item: Item = {
        "st": WAITING, "f": 0, "run": project["run_id"], "project": project["pk"], "tenant": project["tenant"],
        "wf": project["workflow"], "prio": project["priority"], "at": at,
    }  # fmt: skip
    if resources := project.get("resources"):
        item["res"] = resources
    return Put(token_key(shard, token), item, when=Missing("pk"))


def return_token(run: RunItem, *, token: str, shard: int) -> Put:
    """In one transaction with make_token, of a run that had a token before. Its fence is above all that the earlier one
    was ever held or waited under, so that nothing that is still on its way to that one can change this one."""
    item: Item = {
        "st": WAITING, "f": run["fence"], "run": run["pk"], "project": run["project_id"], "tenant": run["tenant"],
        "wf": run["workflow"], "prio": run["priority"], "at": from_text(run["created"]),
    }  # fmt: skip
    if resources := run.get("resources"):
        item["res"] = resources
    if version := run.get("version"):
        item["ver"] = version
    return Put(token_key(shard, token), item, when=Missing("pk"))


def commit_head(shard: int, *, seq: int, operations: Sequence[Operation], commit_id: str) -> Update:
    """Moves the head from `seq` to `seq` + 1. Refused with our own `cid`: it had succeeded before."""
    changes = {"seq": seq + 1, "cid": commit_id, "pend": list(map(_line, operations))}
    return Update(head_key(shard), changes, when=Equals("seq", seq))


def apply_operation(shard: int, operation: Operation) -> Write:
    """Idempotent: Refused means that it (or something later) has been applied already."""
    key = token_key(shard, operation.token)
    held = Equals("st", HELD) & Equals("f", operation.fence)
    if operation.op == GRANT:
        when = Equals("st", WAITING) & Less("f", operation.fence)
        return Update(key, {"st": HELD, "f": operation.fence}, when=when)
    if operation.op == REQUEUE:
        begun = {"ver": operation.version} if operation.version else {}
        return Update(key, {"st": WAITING, **begun}, when=held)
    if operation.op == WITHDRAW:
        return Delete(key, when=Equals("st", WAITING) & Equals("f", operation.fence))
    assert operation.op == RELEASE, operation.op
    return Delete(key, when=held)


def is_granted(token: Item | None, run: RunItem) -> bool:
    """Whether the run, which is queued, has its slot: under a grant that no runner has taken up yet."""
    return token is not None and token["st"] == HELD and token["f"] > run["fence"]


def pending(head: Item) -> list[Operation]:
    return [Operation(*line) for line in head["pend"]]


def _line(operation: Operation) -> list[str | int]:
    op, token, fence, version = operation
    return [op, token, fence, version] if version else [op, token, fence]
