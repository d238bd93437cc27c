"""When a holder whose runner is not heard of would lose its slot: seen from here, on one monotonic clock.

A lease is judged by the sweep, which sees heartbeats itself. What is told here is seen in the same way, by whoever asks
more than once; clocks of two machines are never compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from msgspec import structs

from penstock_api.domain.views import AdmissionView, BlockerView, LeaseEnd
from penstock_backbone.records.sessions import LEASE_SECONDS

SILENT_SECONDS = 3.0
"""A runner beats every 2 s: one that was not heard for so long may be gone."""


class Beat(NamedTuple):
    """A session's heartbeat `number`, seen first at `since` and last at `seen_at` (monotonic seconds). `moved`: another
    number was seen less than a lease before."""

    number: int
    since: float
    seen_at: float
    moved: bool


class Silent(NamedTuple):
    """`seconds` None: its lease has ended, whoever saw that."""

    seconds: float | None


Lease: TypeAlias = Silent | Literal["heard", "unknown"]


def seen(known: Beat | None, number: int, now: float) -> Beat:
    if known is None:
        return Beat(number, now, now, moved=False)
    if known.number == number:
        return known._replace(seen_at=now)
    return Beat(number, now, now, moved=now - known.seen_at < LEASE_SECONDS)


def judge(beat: Beat, now: float) -> Lease:
    silent = now - beat.since
    if silent >= SILENT_SECONDS:
        return Silent(silent)
    return "heard" if beat.moved else "unknown"


def with_lease_ends(view: AdmissionView, leases: Mapping[str, Lease]) -> AdmissionView:
    """`leases` of the runs that hold what blocks, as far as they were looked at."""
    return structs.replace(view, blocked_by=[_with_lease_end(blocker, leases) for blocker in view.blocked_by])


def _with_lease_end(blocker: BlockerView, leases: Mapping[str, Lease]) -> BlockerView:
    if blocker.reason != "limit":
        return blocker
    end = _first_end(blocker.holders, leases)
    unknown = None if end is not None else _why_unknown(blocker, leases)
    return structs.replace(blocker, next_lease_end=end, next_lease_end_unknown=unknown)


def _first_end(holders: Sequence[str], leases: Mapping[str, Lease]) -> LeaseEnd | None:
    ends = [
        LeaseEnd(
            run_id=run_id,
            silent_ms=None if lease.seconds is None else round(lease.seconds * 1000),
            ends_in_ms=0 if lease.seconds is None else max(0, round((LEASE_SECONDS - lease.seconds) * 1000)),
        )
        for run_id in holders
        if isinstance(lease := leases.get(run_id), Silent)
    ]
    return min(ends, key=lambda end: end.ends_in_ms, default=None)


def _why_unknown(blocker: BlockerView, leases: Mapping[str, Lease]) -> str | None:
    """None: all that hold it are heard of."""
    if not blocker.holders:
        return "None of this tenant's runs holds it, and other tenants' runners are not shown."
    if any(leases.get(run_id, "unknown") == "unknown" for run_id in blocker.holders):
        return f"The runners of its holders were not looked at before: ask again in {SILENT_SECONDS:.0f} seconds."
    if blocker.held is not None and blocker.held > len(blocker.holders):
        return (
            f"The runners of {len(blocker.holders)} of its {blocker.held} holders are heard of; the others were not "
            "looked at."
        )
    return None
