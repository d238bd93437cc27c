"""The catalogue of ninety faults: which of them the simulation runs into, by what it counts; where the others are shown.

`python -m tests.simulation.catalogue` writes docs/faults.md anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@dataclass(frozen=True, slots=True)
class Known:
    """`met`: kinds of faults and situations of the simulation; each of them must be met. None: `elsewhere` says what
    shows it, or why nothing does."""

    number: int
    fault: str
    met: tuple[str, ...] = ()
    elsewhere: str = ""


def _met(number: int, fault: str, *met: str) -> Known:
    return Known(number, fault, met)


def _not(number: int, fault: str, elsewhere: str) -> Known:
    return Known(number, fault, (), elsewhere)


AWS_ONLY = "only AWS does this: not shown without an account"

SECTIONS: Mapping[str, Sequence[Known]] = {
    "API": (
        _met(1, "a client repeats its POST under the same key", "a request was repeated under its key (1, 4)"),
        _not(2, "the same key with another body", "tests/api/test_idempotency.py"),
        _not(3, "a key is used again after its window", "there is no window: a key is kept with its project"),
        _met(4, "the API dies after the write and before its answer", "the API died after a write (4)"),
        _met(5, "a write timed out and was applied", "response lost"),
        _met(6, "a write lands 30 s late, after the project was cancelled", "a late enqueue was refused after the run was cancelled (6)"),
        _met(7, "a table is throttled", "throttled"),
        _met(8, "transactions are in conflict", "conflict"),
        _not(9, "an item, a transaction or a body is too large", "tests/contract/test_tables_limits_contract.py, tests/api/test_bad_input.py"),
        _not(10, "a list from an index lags", "nothing is decided from an index; the API's page says that a list may be behind"),
        _met(11, "cancelled while it waits", "a run was cancelled while it waited"),
        _met(12, "cancelled while it runs", "a run was cancelled while it ran"),
        _met(13, "a tenant is stopped while it has runs", "a scope was paused that holds some (13, 38)"),
    ),
    "Streams and the bus": (
        _met(14, "a reader dies after it has published and before it settles", "a reader died after it had published and before it settled (14)", "records again"),
        _met(15, "a part of a batch of events is refused", "events were refused in part (15)"),
        _not(16, "a poison record", "tests/orchestrator/test_stream_consumer.py"),
        _not(17, "a mapping that retries for ever", "tests/infra/test_limits.py"),
        _not(18, "a consumer is a day behind", "tests/aws/test_streams_shards.py"),
        _not(19, "a shard splits", "tests/aws/test_streams_shards.py"),
        _not(20, "records of different items are reordered", "the simulation has one order; tests/orchestrator/test_relay.py keeps order by item only"),
        _not(21, "records of one transaction come apart", "no consumer joins records; tests/contract/stream_programs.py asks for order by item only"),
        _not(22, "a deletion by time to live", "no item has one"),
        _not(23, "a stream is disabled and enabled again", AWS_ONLY + "; the reader lists the streams anew when one is gone"),
        _met(24, "the bus is away", "the bus was away (24)"),
        _not(25, "invocations are throttled in a small region", AWS_ONLY),
        _met(26, "a message comes twice, late, or out of order", "message twice", "message late"),
        _not(27, "one failing event blocks its group", "the bus has no groups here; tests/orchestrator/test_relay.py: a refused event stops its item alone"),
        _not(28, "an event of another version", "tests/events/test_upcasters.py"),
        _not(29, "an event that is too large", "tests/contract/test_bus_contract.py, tests/orchestrator/test_relay.py"),
        _met(30, "clocks of two machines differ", "wall clock jumps"),
    ),
    "Admission": (
        _met(31, "death between a decision and its operations", "an orchestrator died before all that it had decided was done (31)", "an apply found itself done already (31, 36)"),
        _met(32, "death before the dispatch", "a grant was revoked (32)"),
        _met(33, "an orchestrator freezes and writes when it wakes", "a decision was overtaken while its orchestrator was frozen (33)"),
        _met(34, "two orchestrators decide at once", "a decision was overtaken (33, 34)"),
        _met(35, "the answer of a decision is lost", "a decision met its own earlier success (35)"),
        _met(36, "an operation lands late, after the token's next turn", "a late apply was refused in the token's next turn (36)"),
        _met(37, "an enqueue lands late, after the run's end", "a late enqueue was refused after the run's end (37)"),
        _met(38, "a limit is lowered below what is in use", "a limit was lowered below what is in use (38)"),
        _met(39, "a limit goes up and down within one decision", "a limit went up and down since it was read (39)"),
        _met(40, "a limit is 0", "a limit was zero (40)"),
        _not(41, "a limit's item is damaged", "tests/orchestrator/test_admission.py"),
        _not(42, "one tenant floods the line", "tests/orchestrator/test_fairness.py, make bench"),
        _not(43, "the least urgent starve", "tests/orchestrator/test_fairness.py"),
        _met(44, "a workflow or resource at its limit stands first in its tenant's line", "a run was passed over at a limit of its own (44)"),
        _met(45, "a tenant moves to another shard", "tokens moved to another shard (45)", "the tenants were spread anew (45)"),
        _met(46, "a transfer of budget between shards is disturbed", "budgets were moved (46)", "a change of the ledger was overtaken (45, 46)"),
        _not(47, "an index that is stale", "nothing is decided from an index"),
        _not(48, "the head's item grows too large", "rule I16 caps each decision at every commit; tests/orchestrator/test_admission_faults.py"),
        _met(49, "one token of a batch is throttled", "a batch was refused in part (15, 49)"),
        _met(50, "a cancellation and a grant at once", "a granted run was cancelled before its claim (50)"),
    ),
    "Runners": (
        _met(51, "a runner is killed in a stage", "a runner was killed in a stage (51)", "a lease expired (51)", "a run was fenced off (51, 52)"),
        _met(52, "a runner freezes for longer than its lease and goes on", "a lease expired while its runner was frozen (52)", "a run was fenced off (51, 52)"),
        _met(53, "a runner freezes between check and write", "a runner that had been frozen wrote to a run that it had lost (53)"),
        _met(54, "heartbeats are lost for a while", "a runner fenced itself off (54, 57)"),
        _met(55, "a session is declared dead and lives", "a heartbeat of a dead session was refused (55)"),
        _met(56, "the wall clock jumps by an hour", "wall clock jumps"),
        _met(57, "a clock runs at a wrong rate", "clock drifts"),
        _met(58, "one grant is dispatched to two runners", "a grant was claimed by another runner first (58)"),
        _met(59, "the answer of a claim is lost", "a claim met its own earlier success (59)"),
        _met(60, "a message comes again while its run executes", "a dispatch came while its run was executed (60)"),
        _met(61, "a message becomes visible during a long run", "a dispatch was seen again while its run was executed (61)"),
        _met(62, "the answer of a commit is lost", "a commit met its own earlier success (62)"),
        _met(63, "a file is stored and never pointed at", "a stored result was never pointed at (63)"),
        _not(64, "a file is missing or damaged", "tests/contract/test_blobs_contract.py, tests/runner/test_execution.py"),
        _not(65, "a stage did something outside and died", "tests/runner/test_execution.py, tests/runner/test_failure_hook.py: each attempt has the same idempotency key"),
        _met(66, "a stage hangs", "a stage ran out of time (66)", "an attempt took far too long (66)"),
        _not(67, "a run takes its runner down each time", "tests/orchestrator/test_sweep.py"),
        _met(68, "a deployment", "a runner that executes was told to stop (68, 71)"),
        _not(69, "a run meets a newer version of its workflow", "tests/runner/test_claim.py"),
        _not(70, "a bad image", AWS_ONLY + "; the services have the circuit breaker"),
        _met(71, "a spot task is taken away", "a runner that executes was told to stop (68, 71)"),
        _not(72, "scaling in", AWS_ONLY + "; a task that is stopped hands its runs back, as in 68"),
        _met(73, "a stage takes its worker process down", "a worker was lost (73)"),
        _not(74, "generated code is hostile", "tests/runner/building/test_sandbox.py"),
    ),
    "Ends of runs": (
        _met(75, "a cancellation and an end at once", "a commit met a wish to cancel (75)"),
        _met(76, "cancelled twice", "a run was cancelled twice (76)"),
        _met(77, "is a cancelled run's slot freed too early?", "a run was cancelled while it ran", "a stage resisted its end (77)"),
        _met(78, "a run's last write is lost with its runner", "a run's last write was lost with its runner (78)"),
    ),
    "Delivery": (
        _not(79, "a slow client", "tests/api/test_push.py"),
        _not(80, "a client connects again", "tests/api/test_push.py, tests/e2e/test_push.py"),
        _not(81, "a client's credentials expire", "the API has no credentials of its own: what stands before it checks them"),
        _not(82, "many clients follow one run", "make bench"),
        _not(83, "the collector of traces is away", "tests/telemetry/test_tracing.py"),
    ),
    "Region and control": (
        _met(84, "the tables are away for a while", "the tables were away (84)"),
        _met(85, "only the sessions' table is throttled", "sessions throttled"),
        _met(86, "many runners die at once", "several runners died at once (86)"),
        _not(87, "tables are restored from an earlier moment", "single items: docs/operations.md; whole tables are not played"),
        _not(88, "somebody deletes the head", "docs/operations.md; tests/orchestrator/test_admission.py"),
        _not(89, "wrong names or expired credentials", "tests/aws/test_connecting.py, tests/aws/test_errors.py"),
        _not(90, "a key is disabled", AWS_ONLY),
    ),
}  # fmt: skip
CATALOGUE = tuple(known for section in SECTIONS.values() for known in section)
REACHABLE = tuple(known for known in CATALOGUE if known.met)

_INTRODUCTION = """\
# Ninety faults

The catalogue of what may go wrong, with what shows that Penstock bears it. *Simulation*: the [simulation](simulation.md)
runs into it under every rule, and counts the kinds of faults and the situations that are named; `make sim SEEDS=1000`
says in its last lines how many of these it has reached, and fails when one is missing. Everything else names its tests, or
says that nothing shows it.

Written from `tests/simulation/catalogue.py` by `python -m tests.simulation.catalogue`.
"""


def reached(counts: Mapping[str, int]) -> list[Known]:
    """Those of the catalogue whose every sign was met."""
    return [known for known in REACHABLE if all(counts.get(what, 0) for what in known.met)]


def as_markdown() -> str:
    parts = [_INTRODUCTION, f"{len(REACHABLE)} of {len(CATALOGUE)} are reached by the simulation.\n"]
    for title, section in SECTIONS.items():
        rows = [f"| {known.number} | {known.fault} | {_shown(known)} |" for known in section]
        parts.append("\n".join([f"## {title}\n", "| | fault | shown by |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _shown(known: Known) -> str:
    return f"*Simulation*: {'; '.join(known.met)}" if known.met else known.elsewhere


if __name__ == "__main__":
    PAGE.write_text(as_markdown(), encoding="utf-8")
