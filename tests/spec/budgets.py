"""Every state that two deciders can reach with two shards, one scope and a limit that changes: the real arithmetic of the
budgets under the conditions of the real writes.

A decider reads the limit, then the ledger and the heads; what it writes may land at any time after that, or never. Its
view is what it remembers, so a write that lands late is one that is made late.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from penstock_backbone.records.limits import FLEET
from penstock_backbone.records.shards import Ledger
from penstock_orchestrator.domain import budgets
from penstock_orchestrator.domain.limits import Limits

LIMIT_MAX = 2
CHANGES_MAX = 2
SHARDS = (0, 1)

Pair = tuple[int, int]


class View(NamedTuple):
    """`most`: the highest limit in force since this one was read. `budget` None: there is none. `is_latest` and `heads`:
    whether ledger and heads are still the ones that were read."""

    limit: int
    most: int
    budget: Pair | None
    is_latest: bool
    heads: tuple[bool, bool]
    held: Pair


class State(NamedTuple):
    limit: int
    changes: int
    budget: Pair | None
    held: Pair
    views: tuple[View, View]


class Broken(AssertionError):
    pass


class Rules(NamedTuple):
    """The conditions; without one of them a state must be reachable that breaks the limit."""

    heads_are_fenced: bool = True
    limits_are_checked: bool = True
    others_count: bool = True


def search(rules: Rules) -> int:
    """How many states there are. Raises Broken where a limit or a budget is passed."""
    seen: set[State] = set()
    for limit in range(LIMIT_MAX + 1):
        view = View(limit, limit, None, True, (True, True), (0, 0))
        seen.add(State(limit, 0, None, (0, 0), (view, view)))
    due = list(seen)
    while due:
        for state in _steps(due.pop(), rules):
            if state not in seen:
                seen.add(state)
                due.append(state)
    return len(seen)


def _steps(state: State, rules: Rules) -> Iterator[State]:
    if state.changes < CHANGES_MAX:
        for limit in range(LIMIT_MAX + 1):
            views = [view._replace(most=max(view.most, limit)) for view in state.views]
            yield _with(state._replace(limit=limit, changes=state.changes + 1), views)
    for who in range(len(state.views)):
        view = state.views[who]
        yield _seen(state, who, view._replace(limit=state.limit, most=state.limit))
        for shard in SHARDS:
            yield from _decided(state, who, shard, rules)
            yield from _apportioned(state, who, shard, rules)


def _seen(state: State, who: int, view: View) -> State:
    """It reads ledger and heads, at the latest together with the limit."""
    fresh = view._replace(budget=state.budget, is_latest=True, heads=(True, True), held=state.held)
    return _with(state, [fresh if number == who else other for number, other in enumerate(state.views)])


def _decided(state: State, who: int, shard: int, rules: Rules) -> Iterator[State]:
    view = state.views[who]
    if not view.heads[shard]:
        return
    allowed = _allowance(view.budget, view.limit, shard, others_count=rules.others_count)
    for change in (1, -1):
        count = view.held[shard] + change
        if count < 0 or (change > 0 and count > allowed):
            continue
        held = _put(state.held, shard, count)
        if change > 0 and sum(held) > view.most:
            raise Broken(f"{held} are held where {view.most} may be: {state}")
        yield _moved(state._replace(held=held), who, (shard,), view._replace(held=_put(view.held, shard, count)))


def _apportioned(state: State, who: int, shard: int, rules: Rules) -> Iterator[State]:
    view = state.views[who]
    wanted = _put(view.held, shard, view.held[shard] + 1)
    if not view.is_latest or sum(wanted) > view.limit:
        return
    budget, lowered, is_raised = _apportion(view.budget, view.limit, view.held, wanted)
    if (rules.heads_are_fenced and not all(view.heads[each] for each in lowered)) or (
        rules.limits_are_checked and is_raised and view.limit != state.limit
    ):
        return
    fenced = lowered if rules.heads_are_fenced else ()
    if any(count > most for count, most in zip(state.held, budget, strict=True)):
        raise Broken(f"{budget} is less than what is held: {state}")
    first, second = (each._replace(is_latest=False) for each in state.views)
    yield _moved(state._replace(budget=budget, views=(first, second)), who, fenced, view._replace(budget=budget))


def _moved(state: State, who: int, heads: tuple[int, ...], view: View) -> State:
    """The heads are other ones now, and only `who` knows them."""

    def other(each: View) -> View:
        first, second = (known and shard not in heads for shard, known in zip(SHARDS, each.heads, strict=True))
        return each._replace(heads=(first, second))

    return _with(state, [view if number == who else other(each) for number, each in enumerate(state.views)])


def _with(state: State, views: list[View]) -> State:
    """Which decider is which does not matter."""
    first, second = sorted(views, key=repr)
    return state._replace(views=(first, second))


def _put(pair: Pair, place: int, value: int) -> Pair:
    return (value, pair[1]) if place == 0 else (pair[0], value)


def _ledger(budget: Pair | None) -> Ledger:
    return Ledger(1, "", 1, 2, 2, {} if budget is None else {FLEET: dict(enumerate(budget))})


@cache
def _allowance(budget: Pair | None, limit: int, shard: int, *, others_count: bool) -> int:
    in_force = Limits({FLEET: limit if others_count or budget is None else sum(budget)})
    allowed = budgets.allowance(_ledger(budget), in_force, shard, FLEET)
    assert allowed is not None
    return allowed


@cache
def _apportion(budget: Pair | None, limit: int, held: Pair, wanted: Pair) -> tuple[Pair, tuple[int, ...], bool]:
    here, wish = ([{FLEET: count} for count in counts] for counts in (held, wanted))
    move = budgets.apportion(_ledger(budget), Limits({FLEET: limit}), here, wish, [FLEET], commit_id="")
    new = move.ledger.budgets[FLEET]
    return (new[0], new[1]), move.lowered, bool(move.raised)
