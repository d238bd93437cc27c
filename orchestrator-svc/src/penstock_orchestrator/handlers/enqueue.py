"""Turns accepted projects into waiting runs: run and token in one transaction, so that neither is ever without the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from penstock_backbone.errors import Invalid, Retryable, TooLarge
from penstock_backbone.ports import Chance, Clock, Tables
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import RunItem, enqueue_run
from penstock_backbone.records.shards import Ledger, no_token, same_map
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.tokens import WAITING, as_token, enqueue_token, return_token, token_sort_key
from penstock_backbone.records.verbs import make_token
from penstock_backbone.vocabulary import Cancelled, Committed, Refused
from penstock_orchestrator.domain.backoff import backoff_seconds
from penstock_orchestrator.domain.token import Token

ATTEMPTS_MAX = 4
TOGETHER_MAX = 100
"""Transactions in flight at once."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Enqueued:
    """`tokens` are waiting now; `damaged` are project ids that no repetition will help."""

    tokens: list[Token]
    damaged: set[str]


@dataclass(frozen=True, slots=True)
class InTheWay:
    """The token that the run had before is still there, or the tenants were spread anew."""


class Enqueue:
    def __init__(self, tables: Tables, *, home: Callable[[str], int], clock: Clock, chance: Chance) -> None:
        """`home`: the number of a tenant's shard."""
        self._tables = tables
        self._home = home
        self._clock = clock
        self._chance = chance

    async def __call__(self, projects: Sequence[ProjectItem]) -> Enqueued:
        """Raises Retryable when some outcome is not known; repeating it all then finds what was done."""
        enqueued = Enqueued([], set())
        for start in range(0, len(projects), TOGETHER_MAX):
            together = projects[start : start + TOGETHER_MAX]
            results = await asyncio.gather(*map(self._enqueue, together), return_exceptions=True)
            for project, result in zip(together, results, strict=True):
                match result:
                    case None:
                        pass
                    case Token():
                        enqueued.tokens.append(result)
                    case TooLarge() | Invalid() | KeyError() | TypeError() | ValueError() | AttributeError():
                        _log.error("The project %s cannot be enqueued: %r", project.get("pk"), result)
                        enqueued.damaged.add(project["pk"])
                    case BaseException():
                        raise result
                    case _:
                        assert_never(result)
        return enqueued

    async def _enqueue(self, project: ProjectItem) -> Token | None:
        """The token if it waits, whoever made it; None when the run had its turn before."""
        key = token_sort_key(project["tenant"], project["priority"], project["run_id"])
        shard = self._home(project["tenant"])
        run = enqueue_run(project, token=key, shard=shard, at=to_ms(self._clock.now()))
        token = enqueue_token(project, token=key, shard=shard, at=project["at"])
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                outcome = await self._tables.transact([run, token])
            except Retryable:
                if attempt == ATTEMPTS_MAX:
                    raise
                await self._clock.sleep(backoff_seconds(attempt, self._chance.random()))
                continue
            match outcome:
                case Committed():
                    return Token.of(as_token({"sk": key, **token.item}))
                case Cancelled(reasons):
                    return _earlier(reasons)
                case _:
                    assert_never(outcome)
        raise AssertionError("the loop returns or raises")

    async def again(self, run: RunItem, ledger: Ledger) -> Token | InTheWay | None:
        """A token for a run that returns: the one that waits now, whoever made it. None: it does not return (any more).
        The map must be the ledger's, and no shard that there ever was may have a token of it. Raises Retryable."""
        key = token_sort_key(run["tenant"], run["priority"], run["pk"])
        home = ledger.home(run["tenant"])
        put = return_token(run, token=key, shard=home)
        others = [same_map(ledger), *(no_token(shard, key) for shard in range(ledger.known) if shard != home)]
        outcome = await self._tables.transact([make_token(run, token=key, shard=home), put, *others])
        match outcome:
            case Committed():
                return Token.of(as_token({"sk": key, **put.item}))
            case Cancelled(reasons):
                if reasons[0] is None:
                    return InTheWay()
                earlier = _earlier(reasons)
                return earlier if earlier is not None and earlier.fence == run["fence"] else None
            case _:
                assert_never(outcome)


def _earlier(reasons: Sequence[Refused | None]) -> Token | None:
    """What an earlier try, of ours or of another orchestrator, has left standing."""
    token = reasons[1].item if reasons[1] is not None else None
    return Token.of(as_token(token)) if token is not None and token["st"] == WAITING else None
