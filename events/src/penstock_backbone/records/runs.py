"""The runs table: one item a run, the truth of its state and of its story.

    run_…  / RUN  {project_id, tenant, workflow, version?, plan?, priority, state, fence, session?, attempt,
                   seq, since, facts{"1": {t, at, d}, …}, results{stage: …}, progress{stage: …}?, spent{stage: …}?, token, shard,
                   resources?, cancel?, pause?, yielding?, yields?, waits{stage: {key: …}}?, answers{key: …}?, due?, passed?,
                   returning?, restart?, edited{…}?, retried?, hooked?, given_up?, revoked?, at, …}

`facts` holds the whole story by sequence number; `seq` is the last number and `since` the first one that
the latest write added, so the relay can tell from one image what is new. `fence` is the highest grant the
run ever accepted. `cancel` and `pause` are the reasons somebody gave for ending or pausing a run that executes: whoever
owns it next obeys. `yielding` asks the one who executes it now to hand it back at its next checkpoint, and `yields`
counts how often that was asked. `waits`, `answers`, `due` and `passed`: see waits.py. `returning`: it is queued, and the
token it needs is not made yet. `restart` is the stage from which it begins anew, and `edited` what stands in place of the
project's requirement and input since then; `retried` is a digest of that wish. `hooked`: its workflow has an on_failure.
`given_up`, [attempt, why]: after this attempt it was given up, and is claimed only to tell its hook. `revoked` is the last
fence under which nobody claimed it.
`results` holds each finished stage's output: JSON text up to RESULT_INLINE_BYTES_MAX,
otherwise [key, sha256, size] of a blob: DynamoDB charges every commit for the whole item, so it stays small.
A stage that runs once for each item of a list has a result "stage.0", "stage.1", … for each finished item, until it is
finished itself. `plan` is the digest of the stages that the run began with. `progress` holds [thousandths done or None, a line] of running stages; no fact tells of it.
`spent` is what attempts have used that were cut off, and no fact has told of yet: the next one that ends tells of it, too.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NotRequired, TypedDict, cast

from penstock_backbone.inventory import RUNS
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.vocabulary import BlobRef, Condition, Equals, Item, Key, Less, Missing, Put, Update

RUN_SK = "RUN"

QUEUED = "queued"
RUNNING = "running"
WAITING = "waiting"
PAUSED = "paused"
SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"
TIMED_OUT = "timed_out"
RESTING = frozenset({WAITING, PAUSED})
"""Not over, and without a token."""
TERMINAL = frozenset({SUCCEEDED, FAILED, CANCELLED, TIMED_OUT})
"""Over; only a retry begins such a run anew."""

STATUS_OF_STATE = {
    QUEUED: "queued", RUNNING: "building", WAITING: "waiting", PAUSED: "paused", SUCCEEDED: "completed",
    FAILED: "failed", CANCELLED: "cancelled", TIMED_OUT: "failed",
}  # fmt: skip
"""The words that frontends already know, by run state."""

RESULT_INLINE_BYTES_MAX = 2 * 1024
FACTS_MAX = 1000
MESSAGE_CHARS_MAX = 2000
RUNNER_LOST = "RunnerLost"
"""The error of a run that was given up."""
REASON_CHARS_MAX = 500
"""Of a cancellation or a pause."""
_OF_A_CLAIM = ("session", "progress", "yielding")
"""What ends with it."""


class FactItem(TypedDict):
    """`t` the fact's type, `at` ms, `d` its data (the model's fields)."""

    t: str
    at: int
    d: dict[str, Any]


class WaitItem(TypedDict):
    """One wait of a stage: `k` its kind, `n` the attempt that waits, `at` since when; `q` the signal or the question;
    `until` in ms."""

    k: str
    n: int
    at: int
    q: NotRequired[str]
    until: NotRequired[int]


class RunItem(TypedDict):
    pk: str
    project_id: str
    tenant: str
    tenant_status: str
    created: str
    workflow: str
    version: NotRequired[str]
    plan: NotRequired[str]
    priority: int
    state: str
    fence: int
    session: NotRequired[str]
    attempt: int
    seq: int
    since: int
    facts: dict[str, FactItem]
    results: dict[str, str | list[Any]]
    progress: NotRequired[dict[str, list[Any]]]
    spent: NotRequired[dict[str, dict[str, int]]]
    token: str
    shard: int
    at: int
    queued_at: int
    revoked: NotRequired[int]
    cancel: NotRequired[str]
    pause: NotRequired[str]
    yielding: NotRequired[bool]
    yields: NotRequired[int]
    waits: NotRequired[dict[str, dict[str, WaitItem]]]
    answers: NotRequired[dict[str, str]]
    due: NotRequired[int]
    passed: NotRequired[int]
    returning: NotRequired[bool]
    restart: NotRequired[str]
    edited: NotRequired[dict[str, str]]
    retried: NotRequired[str]
    hooked: NotRequired[bool]
    given_up: NotRequired[list[Any]]
    resources: NotRequired[list[str]]
    started_at: NotRequired[int]
    traceparent: NotRequired[str]


def run_key(run_id: str) -> Key:
    return Key(RUNS, run_id, RUN_SK)


def as_run(item: Item) -> RunItem:
    return cast(RunItem, item)


def fact(type_name: str, at: int, /, **data: Any) -> FactItem:
    """Fields that are None are left out: the models read absent as None."""
    return {"t": type_name, "at": at, "d": {name: value for name, value in data.items() if value is not None}}


def enqueue_run(project: ProjectItem, *, token: str, shard: int, at: int) -> Put:
    """Orchestrator, in one transaction with the token. ProjectCreated is fact 1, so the run begins at 2."""
    facts = {"2": fact("RunQueued", at, workflow=project["workflow"], priority=project["priority"])}
    item: Item = {
        "project_id": project["pk"], "tenant": project["tenant"], "created": project["created"],
        "tenant_status": tenant_status(project["tenant"], QUEUED), "workflow": project["workflow"],
        "priority": project["priority"], "state": QUEUED, "fence": 0, "attempt": 0, "seq": 2, "since": 2,
        "facts": facts, "results": {}, "token": token, "shard": shard, "at": at, "queued_at": at,
    }  # fmt: skip
    if resources := project.get("resources"):
        item["resources"] = resources
    if traceparent := project.get("traceparent"):
        item["traceparent"] = traceparent
    return Put(run_key(project["run_id"]), item, when=Missing("pk"))


def claim_run(
    run: RunItem,
    *,
    fence: int,
    session: str,
    version: str,
    stages: Sequence[str],
    first: Sequence[str],
    at: int,
    plan: str = "",
    attempts: Mapping[str, int] = MappingProxyType({}),
    cleared: Sequence[str] = (),
    hooked: bool = False,
) -> Update:
    """Runner. `first` are the stages that start at once, in the attempt that `attempts` says, else in the first.
    `cleared` are results that no longer count, because the run is retried; what their stages had asked they ask again.
    Refused: see is_claimed_by."""
    attempt = run["attempt"] + 1
    again = [name for name in stages if name in cleared]
    facts = [
        fact("RunAdmitted", at, fence=fence, waited_ms=max(0, at - run["queued_at"])),
        fact(
            "RunStarted", at, fence=fence, attempt=attempt, workflow_version=version, stages=list(stages),
            cleared=again or None,
        ),
        *(fact("StageStarted", at, stage=stage, attempt=attempts.get(stage, 1)) for stage in first),
    ]  # fmt: skip
    changes = append(run["seq"], facts)
    changes |= becoming(run, RUNNING, at)
    changes |= {"fence": fence, "session": session, "attempt": attempt, "version": version}
    if plan and "plan" not in run:
        changes["plan"] = plan
    if "started_at" not in run:
        changes["started_at"] = at
    if hooked:
        changes["hooked"] = True
    when = Equals("state", QUEUED) & Less("fence", fence) & unchanged(run)
    if again and "answers" in run:
        changes["answers"] = answers_without(run, again)
    remove = ("progress", "restart", "yielding", *(f"results/{name}" for name in cleared))
    return Update(run_key(run["pk"]), changes, when=when, remove=remove)


def is_claimed_by(item: Item, *, fence: int, session: str) -> bool:
    """Whether a refused claim had in truth succeeded before."""
    return item.get("state") == RUNNING and item.get("fence") == fence and item.get("session") == session


def commit_facts(
    run_id: str,
    *,
    fence: int,
    seq: int,
    facts: Sequence[FactItem],
    results: Mapping[str, str | BlobRef],
    at: int,
    forget: Iterable[str] = (),
    progress: Mapping[str, list[Any]] | None = None,
    waits: Mapping[str, dict[str, WaitItem]] | None = None,
    spent: Mapping[str, dict[str, int]] | None = None,
) -> Update:
    """Runner: facts seq+1… in one write, with the results of the stages that they complete, and without those of
    `forget`. Without any fact, `since` says that there is nothing new to tell. `progress`, `waits` and `spent`
    replace what stood there.

    Refused: see is_committed for one's own earlier success; a higher `seq` under the same fence means that
    somebody else added a fact (a cancel), so read again; another fence or state means the run was lost.
    """
    changes = append(seq, facts)
    changes |= {f"results/{stage}": _result(result) for stage, result in results.items()}
    changes["at"] = at
    if progress is not None:
        changes["progress"] = dict(progress)
    if waits is not None:
        changes["waits"] = dict(waits)
    if spent is not None:
        changes["spent"] = dict(spent)
    return Update(run_key(run_id), changes, when=owned(fence, seq), remove=tuple(f"results/{name}" for name in forget))


def end_run(
    run: RunItem,
    *,
    state: str,
    fence: int,
    seq: int,
    facts: Sequence[FactItem],
    results: Mapping[str, str | BlobRef],
    at: int,
    forget: Iterable[str] = (),
    waits: Mapping[str, dict[str, WaitItem]] | None = None,
    spent: Mapping[str, dict[str, int]] | None = None,
    due: int | None = None,
    attempt: int | None = None,
) -> Update:
    """Runner: the last facts under its claim, and the state in which it leaves the run, in one write: a terminal one, one
    of RESTING, or QUEUED, when it has stopped everything of the run because its process ends or the run yields.
    `due`: when a run that waits goes on by itself; then its timer is made in the same transaction. `attempt`: what the
    count was before the claim, where nothing has gone wrong. A wish to pause stays with a run that is only handed back."""
    commit = commit_facts(
        run["pk"], fence=fence, seq=seq, facts=facts, results=results, at=at, forget=forget, waits=waits, spent=spent
    )
    changes = commit.set | becoming(run, state, at)
    if due is not None:
        changes["due"] = due
    if attempt is not None:
        changes["attempt"] = attempt
    if state == QUEUED:
        changes["queued_at"] = at
        return Update(commit.key, changes, when=commit.when, remove=(*commit.remove, *_OF_A_CLAIM))
    return Update(commit.key, changes, when=commit.when, remove=(*commit.remove, *_OF_A_CLAIM, "pause"))


def is_committed(
    item: Item, *, fence: int, seq: int, facts: Sequence[FactItem], results: Mapping[str, str | BlobRef] | None = None
) -> bool:
    """Whether a refused commit had in truth succeeded before: the story holds just these facts at these numbers, and,
    where a commit had no fact, the item these results."""
    stored = item.get("facts", {})
    if item.get("fence") != fence:
        return False
    if not facts:
        kept = item.get("results", {})
        return all(kept.get(name) == _result(result) for name, result in (results or {}).items())
    return all(stored.get(str(seq + offset)) == expected for offset, expected in enumerate(facts, start=1))


def fence_off(run: RunItem, *, reason: str, at: int) -> Update:
    """Orchestrator, once the run's session is dead: nothing of that fence can be written any more."""
    changes = append(run["seq"], [fact("RunRequeued", at, reason=reason)]) | becoming(run, QUEUED, at)
    changes["queued_at"] = at
    return Update(run_key(run["pk"]), changes, when=owned(run["fence"], run["seq"]), remove=("session",))


def leave_to_hook(run: RunItem, *, given_up: Sequence[Any], reason: str, at: int) -> Update:
    """Orchestrator: as fence_off, but the run is given up, and goes on only until its hook was told."""
    requeued = fence_off(run, reason=reason, at=at)
    return Update(
        requeued.key, {**requeued.set, "given_up": list(given_up)}, when=requeued.when, remove=requeued.remove
    )


def give_up(run: RunItem, *, message: str, at: int) -> Update:
    """Orchestrator: as fence_off, but the run was interrupted too often and ends here."""
    changes = append(run["seq"], [fact("RunFailed", at, error=RUNNER_LOST, message=message)]) | becoming(
        run, FAILED, at
    )
    return Update(run_key(run["pk"]), changes, when=owned(run["fence"], run["seq"]), remove=("session",))


def revoke(run_id: str, *, fence: int) -> Update:
    """Orchestrator: a grant that nobody claimed. After it a late claim under this fence is refused."""
    return Update(
        run_key(run_id), {"fence": fence, "revoked": fence}, when=Equals("state", QUEUED) & Less("fence", fence)
    )


def answers_without(run: RunItem, stages: Container[str]) -> dict[str, str]:
    """What was answered to other stages and items of them, and every signal."""
    return {
        key: text
        for key, text in run.get("answers", {}).items()
        if key.partition("/")[0] not in stages and key.partition("/")[0].partition(".")[0] not in stages
    }


def answers_needed(run: RunItem) -> dict[str, str]:
    """Every signal, and what was answered to stages and items that have not finished: the others ask no more."""
    return answers_without(run, run["results"].keys()) if "answers" in run else {}


def needs_token(run: RunItem) -> bool:
    """Whether the token that it has had so far, if any, is still its own: a run that returns gets another."""
    return run["state"] == RUNNING or (run["state"] == QUEUED and "returning" not in run)


def finished_stages(run: RunItem) -> frozenset[str]:
    return frozenset(run["results"])


def result_of(run: RunItem, stage: str) -> str | BlobRef:
    stored = run["results"][stage]
    return stored if isinstance(stored, str) else BlobRef(*stored)


def stage_order(run: RunItem) -> list[str]:
    """As the workflow lists its stages; a finished stage that no RunStarted names comes last."""
    listed = (name for _, entry in story(run) if entry["t"] == "RunStarted" for name in entry["d"]["stages"])
    return list(dict.fromkeys([*listed, *run["results"]]))


def story(run: RunItem, after: int = 0) -> Iterable[tuple[int, FactItem]]:
    """The facts beyond sequence `after`, in order. ProjectCreated (1) is the project's item, not here."""
    for number in range(max(after, 1) + 1, run["seq"] + 1):
        yield number, run["facts"][str(number)]


def tenant_status(tenant: str, state: str) -> str:
    return f"{tenant}#{STATUS_OF_STATE[state]}"


def append(seq: int, facts: Sequence[FactItem]) -> dict[str, Any]:
    """What adds these facts to a story that ends at `seq`."""
    changes: dict[str, Any] = {f"facts/{seq + offset}": entry for offset, entry in enumerate(facts, start=1)}
    changes["seq"] = seq + len(facts)
    changes["since"] = seq + 1
    return changes


def becoming(run: RunItem, state: str, at: int) -> dict[str, Any]:
    """What changes with the state."""
    return {"state": state, "tenant_status": tenant_status(run["tenant"], state), "at": at}


def unchanged(run: RunItem) -> Condition:
    """Nothing was added to its story since it was read."""
    return Equals("seq", run["seq"])


def owned(fence: int, seq: int) -> Condition:
    """It is executed under this fence, and its story ends at `seq`."""
    return Equals("state", RUNNING) & Equals("fence", fence) & Equals("seq", seq)


def _result(result: str | BlobRef) -> str | list[Any]:
    return result if isinstance(result, str) else [result.key, result.sha256, result.size]
