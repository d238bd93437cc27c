"""The sessions table: one lease a runner process, and what the runners can execute.

    SESSIONS / ses_…           {hb, st: live|draining|dead, capacity, at, serves?: [<workflow name>@<version>, …]}
    BURIALS  / last            {session}
    CATALOG  / <workflow name> {version, stages: [{name, title}], resources: [name, …], input_schema?, at}

A lease is judged by a sweeper that sees `hb` unchanged for LEASE_SECONDS on its own monotonic clock; clocks
of different machines are never compared. A session that does not say what it serves is asked for anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from penstock_backbone.inventory import SESSIONS
from penstock_backbone.vocabulary import Delete, Equals, Exists, Item, Key, Missing, Or, Put, Query, Update

SESSIONS_PK = "SESSIONS"
CATALOG_PK = "CATALOG"
BURIALS = Key(SESSIONS, "BURIALS", "last")
"""Changes with each burial: who watches it need not wait for his next look at the sessions."""

LIVE = "live"
DRAINING = "draining"
DEAD = "dead"

LEASE_SECONDS = 10.0
HEARTBEAT_SECONDS = 2.0
SELF_FENCE_SECONDS = 6.0
"""A runner that has not been heard for this long stops itself: 0.6 of the lease, on its own clock."""

INPUT_SCHEMA_BYTES_MAX = 32 * 1024
SERVES_BYTES_MAX = 2 * 1024
"""Each heartbeat pays for the whole item: a runner that serves more than fits says nothing of it."""

Served: TypeAlias = frozenset[str] | None
"""Versions of workflows, and the names of those of which there is any; None: anything."""


def session_key(session: str) -> Key:
    return Key(SESSIONS, SESSIONS_PK, session)


def open_session(session: str, *, capacity: int, at: int, serves: Sequence[str] | None = None) -> Put:
    """Runner. `serves` as `needed` writes it. Refused with st live and hb 0: it had succeeded before."""
    item: Item = {"hb": 0, "st": LIVE, "capacity": capacity, "at": at}
    if serves is not None and sum(len(name.encode()) for name in serves) <= SERVES_BYTES_MAX:
        item["serves"] = list(serves)
    return Put(session_key(session), item, when=Missing("pk"))


def needed(workflow: str, version: str = "") -> str:
    """What a runner must serve to execute a run; without a version, which a run has once it has begun, any will do."""
    return f"{workflow}@{version}" if version else workflow


def served_by(sessions: Iterable[Item]) -> Served:
    """What those that still take runs up can execute. Without any it is anything: nobody knows what the next one serves."""
    said = [session.get("serves") for session in sessions if session.get("st") == LIVE]
    found: set[str] = set()
    for versions in said:
        if type(versions) is not list or not all(type(version) is str for version in versions):
            return None
        found.update(versions, (version.partition("@")[0] for version in versions))
    return frozenset(found) if said else None


def beat(session: str, *, hb: int) -> Update:
    """Runner: heartbeat number `hb`, counted by the runner. Refused: the session was declared dead."""
    return Update(session_key(session), {"hb": hb}, when=Or((Equals("st", LIVE), Equals("st", DRAINING))))


def drain_session(session: str) -> Update:
    return Update(session_key(session), {"st": DRAINING}, when=Equals("st", LIVE))


def expire_session(session: str, *, hb: int) -> Update:
    """Orchestrator, after seeing `hb` unchanged for a lease."""
    return Update(session_key(session), {"st": DEAD}, when=Equals("hb", hb))


def bury_session(session: str) -> Update:
    """The supervisor, which saw the process die with its own eyes."""
    return Update(session_key(session), {"st": DEAD}, when=Exists("pk"))


def tell_of_burial(session: str) -> Put:
    """Whoever buried it, in the same batch. Only a hint: its loss costs the time until the next look."""
    return Put(BURIALS, {"session": session})


def forget_session(session: str) -> Delete:
    """Orchestrator: a dead session that no held token names any more."""
    return Delete(session_key(session), when=Equals("st", DEAD))


def all_sessions() -> Query:
    return Query(SESSIONS, SESSIONS_PK)


def announce_workflow(
    name: str,
    *,
    version: str,
    stages: list[dict[str, str]],
    at: int,
    resources: Sequence[str] = (),
    input_schema: str | None = None,
) -> Put:
    """Runner, at start: what the API may accept. The newest runner's word stands. `input_schema` as JSON text."""
    said = {"version": version, "stages": stages, "resources": list(resources), "at": at}
    if input_schema is not None:
        said["input_schema"] = input_schema
    return Put(Key(SESSIONS, CATALOG_PK, name), said)


def catalog() -> Query:
    return Query(SESSIONS, CATALOG_PK)


def is_dead(session: Item | None) -> bool:
    return session is None or session.get("st") == DEAD
