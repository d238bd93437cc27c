"""Counts what a seed has really run into, because a fault that never happened proves nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock_backbone.inventory import RUNS, SESSIONS
from penstock_backbone.records.runs import CANCELLED, FAILED, QUEUED, RUNNING, TERMINAL
from penstock_backbone.records.shards import ledger_key
from penstock_backbone.records.tokens import HEAD_SK
from penstock_backbone.records.yields import asks_key
from penstock_backbone.vocabulary import (
    Cancelled,
    Delete,
    Item,
    Outcome,
    Put,
    Refused,
    TransactionOutcome,
    TransactionPart,
    Write,
    Written,
)

SITUATIONS = (
    "a decision was overtaken (33, 34)",
    "a decision met its own earlier success (35)",
    "an apply found itself done already (31, 36)",
    "an enqueue found itself done already (14, 37)",
    "a claim was refused (32, 58, 60)",
    "a claim met its own earlier success (59)",
    "a commit met its own earlier success (62)",
    "a commit of a lost run was refused (52, 53)",
    "a heartbeat of a dead session was refused (55)",
    "a lease expired (51)",
    "a run was fenced off (51, 52)",
    "a grant was revoked (32)",
    "a batch was refused in part (15, 49)",
    "a runner fenced itself off (54, 57)",
    "a consumer moved to another process (14, 26)",
    "a limit was lowered below what is in use (38)",
    "a limit was zero (40)",
    "a scope was paused that holds some (13, 38)",
    "a request was repeated under its key (1, 4)",
    "a run failed (66, 67)",
    "a list was taken up in the middle (51, 62)",
    "a stage ran out of time (66)",
    "a stage was cancelled from within (66)",
    "a worker was lost (73)",
    "a hook was told",
    "a failing run went on with its hook (51, 66)",
    "a run rested, waiting",
    "a run was to be paused",
    "a run was paused",
    "a run was retried",
    "a run was asked to yield",
    "a run yielded its slot",
    "an ask to yield was overtaken",
    "a run was cancelled while it waited",
    "a run was cancelled while it ran",
    "the API died after a write (4)",
    "events were refused in part (15)",
    "a run was passed over at a limit of its own (44)",
    "a more urgent run came before an older one",
    "a run has waited for so long that it came before a higher priority",
    "a decision was full",
    "a story was full",
    "a least share decided whose turn it was",
    "a turn was taken among unlike weights",
    "a run was passed over that no runner served",
    "a granted run was cancelled before its claim (50)",
    "a stored result was never pointed at (63)",
    "an attempt took far too long (66)",
    "a commit met a wish to cancel (75)",
    "a run was cancelled twice (76)",
    "a stage resisted its end (77)",
    "a late enqueue was refused after the run was cancelled (6)",
    "a reader died after it had published and before it settled (14)",
    "the bus was away (24)",
    "an orchestrator died before all that it had decided was done (31)",
    "a decision was overtaken while its orchestrator was frozen (33)",
    "a late apply was refused in the token's next turn (36)",
    "a late enqueue was refused after the run's end (37)",
    "a limit went up and down since it was read (39)",
    "a runner was killed in a stage (51)",
    "a lease expired while its runner was frozen (52)",
    "a runner that had been frozen wrote to a run that it had lost (53)",
    "a grant was claimed by another runner first (58)",
    "a dispatch came while its run was executed (60)",
    "a dispatch was seen again while its run was executed (61)",
    "a runner that executes was told to stop (68, 71)",
    "a run's last write was lost with its runner (78)",
    "the tables were away (84)",
    "several runners died at once (86)",
    "budgets were moved (46)",
    "tokens moved to another shard (45)",
    "the tenants were spread anew (45)",
    "a change of the ledger was overtaken (45, 46)",
    "a change of the ledger met its own earlier success (46)",
)
"""Situations of the failure catalogue, with its numbers."""
_SITUATION_OF_LEDGER = dict(zip(("bud", "mov", "map", "overtaken", "own"), SITUATIONS[-5:], strict=True))


def _what_became(ledger: Put, outcome: TransactionOutcome) -> str:
    commit_id: str = ledger.item["cid"]
    if not isinstance(outcome, Cancelled):
        return commit_id.partition("_")[0]
    refused = outcome.reasons[0]
    own = refused is not None and refused.item is not None and refused.item["cid"] == commit_id
    return "own" if own else "overtaken"


LATE, WOKEN = "long after its sender gave it up", "when its sender has thawed"


class Sightings:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note(self, what: str) -> None:
        self.counts[what] += 1

    def away(self, call: str) -> None:
        """Nobody answers it, and nobody answers anybody."""
        if call == "bus.publish":
            self.note("the bus was away (24)")
        elif call.startswith("tables."):
            self.note("the tables were away (84)")

    def lost(self, who: str, writes: Iterable[Write]) -> None:
        """With him, because he dies before he has sent them."""
        ends = any(each.key.table == RUNS and getattr(each, "set", {}).get("state") in TERMINAL for each in writes)
        if ends and who.startswith("runner"):
            self.note("a run's last write was lost with its runner (78)")

    def writes(self, writes: Iterable[Write], outcomes: Sequence[Outcome], who: str = "", how: str = "") -> None:
        for write, outcome in zip(writes, outcomes, strict=False):
            if isinstance(outcome, Refused):
                self._refused(write, outcome.item, who, how)
            elif isinstance(outcome, Written):
                self._written(write)

    def transaction(self, parts: Sequence[TransactionPart], outcome: TransactionOutcome, how: str = "") -> None:
        first = parts[0]
        if first.key == asks_key():
            if isinstance(outcome, Cancelled):
                self.note("an ask to yield was overtaken")
            return
        if first.key == ledger_key() and isinstance(first, Put):
            self.note(_SITUATION_OF_LEDGER[_what_became(first, outcome)])
        elif isinstance(outcome, Cancelled) and isinstance(first, Put) and first.key.table == RUNS:
            self.note("an enqueue found itself done already (14, 37)")
            refused = outcome.reasons[0]
            state = refused.item["state"] if how == LATE and refused is not None and refused.item is not None else ""
            if state in TERMINAL:
                self.note("a late enqueue was refused after the run's end (37)")
            if state == CANCELLED:
                self.note("a late enqueue was refused after the run was cancelled (6)")

    def _refused(self, write: Any, item: Any, who: str, how: str) -> None:
        changes = getattr(write, "set", {})
        match write.key.table:
            case "tokens" if write.key.sk == HEAD_SK and item is not None and "cid" in changes:
                own = item["cid"] == changes["cid"]
                self.note(SITUATIONS[1] if own else SITUATIONS[0])
                if not own and how == WOKEN:
                    self.note("a decision was overtaken while its orchestrator was frozen (33)")
            case "tokens" if write.key.pk.startswith("TK#"):
                self.note("an apply found itself done already (31, 36)")
                if how == LATE and _is_another_turn(write, item):
                    self.note("a late apply was refused in the token's next turn (36)")
            case "sessions" if "hb" in changes:
                self.note("a heartbeat of a dead session was refused (55)")
            case "runs" if changes.get("state") == RUNNING:
                own = item is not None and item.get("session") == changes["session"] and item["state"] == RUNNING
                if not own and item is not None and item["state"] == RUNNING and item["fence"] == changes["fence"]:
                    self.note("a grant was claimed by another runner first (58)")
                self.note("a claim met its own earlier success (59)" if own else "a claim was refused (32, 58, 60)")
            case "runs" if "seq" in changes and item is not None:
                if "cancel" in item and item["state"] == RUNNING and "cancel" not in changes:
                    self.note("a commit met a wish to cancel (75)")
                landed = _has_landed(item, changes)
                self.note(SITUATIONS[6] if landed else SITUATIONS[7])
                if not landed and how == WOKEN and who.startswith("runner"):
                    self.note("a runner that had been frozen wrote to a run that it had lost (53)")
            case _:
                pass

    def _written(self, write: Any) -> None:
        changes = getattr(write, "set", None)
        if not changes:
            return
        table = write.key.table
        if table == SESSIONS and changes.get("st") == "dead":
            self.note("a lease expired (51)")
        elif table == RUNS and changes.get("state") == QUEUED:
            self.note("a run was fenced off (51, 52)")
        elif table == RUNS and "revoked" in changes:
            self.note("a grant was revoked (32)")
        elif table == RUNS and changes.get("state") == FAILED:
            self.note("a run failed (66, 67)")


def _is_another_turn(apply: Any, token: Item | None) -> bool:
    """What stands there is not what the operation had made of it."""
    demanded = getattr(apply.when, "all", (apply.when,))
    fence = next((each.value for each in demanded if each.path == "f"), None)
    if fence is None:
        return False  # a named bug has taken the condition away
    if isinstance(apply, Delete):
        return token is not None and bool(token["f"] > fence)
    return token is None or bool(token["f"] != fence or token["st"] != apply.set["st"])


def _has_landed(item: Item, changes: Mapping[str, Any]) -> bool:
    """The last fact stands there, or the results where there is no fact."""
    last = f"facts/{changes['seq']}"
    if last in changes:
        return bool(item["facts"].get(str(changes["seq"])) == changes[last])
    results = {path.partition("/")[2]: value for path, value in changes.items() if path.startswith("results/")}
    return all(item["results"].get(name) == value for name, value in results.items())
