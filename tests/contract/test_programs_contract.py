"""Generated programs do the same on an engine as on the memory engine: every answer, and what is left at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.contract_inventory import CONTRACT, OTHERS, THINGS
from tests.contract.rigs import Rig

from penstock_backbone.errors import BackboneError
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.ports import Tables
from penstock_backbone.system import SystemClock, SystemIds
from penstock_backbone.vocabulary import (
    And,
    Cancelled,
    Check,
    Condition,
    Delete,
    Equals,
    Exists,
    Greater,
    Item,
    Key,
    Less,
    Missing,
    Or,
    Put,
    Query,
    TransactionPart,
    Unsettled,
    Update,
    Write,
)

pytestmark = [pytest.mark.anyio]

PK = "program"
"""Stands for a partition of the run's own, which is only known when it runs."""

SAME: Mapping[str, str] = {}

Step: TypeAlias = tuple[str, Sequence[TransactionPart]]

keys = st.builds(Key, st.sampled_from([THINGS, OTHERS]), st.just(PK), st.sampled_from(["a", "b", "c"]))
plain = st.sampled_from([0, 1, 2, True, False, None, "", "a", "b", b"a"])
values = plain | st.lists(plain, max_size=2) | st.dictionaries(st.sampled_from("xy"), plain, max_size=2)
maps = st.dictionaries(st.sampled_from("xy"), plain, max_size=2)
items = st.fixed_dictionaries({"m": maps}, optional={"a": values, "b": values})
paths = st.sampled_from(["a", "b", "m", "m/x", "m/x", "m/y", "a/x"])
leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Equals, paths, values),
    st.builds(Less, paths, st.sampled_from([0, 1, "", "a", "b"])),
    st.builds(Greater, paths, st.sampled_from([0, 1, "", "a"])),
    st.builds(Exists, paths | st.just("pk")),
    st.builds(Missing, paths | st.just("pk")),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    leaves,
    lambda inner: st.builds(And, st.tuples(inner, inner)) | st.builds(Or, st.tuples(inner, inner)),
    max_leaves=3,
)
whens = st.none() | st.none() | conditions
updates = st.builds(
    Update,
    keys,
    st.dictionaries(paths, values, min_size=1, max_size=2),
    whens,
    st.lists(paths, max_size=1).map(tuple),
    st.booleans(),
)
writes: st.SearchStrategy[Write] = st.builds(Put, keys, items, whens) | updates | st.builds(Delete, keys, whens)
parts: st.SearchStrategy[TransactionPart] = writes | st.builds(Check, keys, conditions)


def different(found: Any) -> Any:
    return st.lists(found, min_size=2, max_size=4, unique_by=lambda part: part.key)


steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("write"), st.lists(writes, min_size=1, max_size=1)),
    st.tuples(st.just("write"), different(writes)),
    st.tuples(st.just("write_after"), different(writes)),
    st.tuples(st.just("transact"), different(parts)),
)
beginnings = st.lists(st.builds(Put, keys, items), min_size=3, max_size=6, unique_by=lambda put: put.key)
programs = st.builds(lambda first, rest: [("write", first), *rest], beginnings, st.lists(steps, min_size=1, max_size=8))


def moved(part: Any, pk: str, names: Mapping[str, str]) -> Any:
    """The same part, in the run's own partition, and in other tables where `names` has them."""
    fields = {name: getattr(part, name) for name in part.__struct_fields__}
    table = part.key.table
    return type(part)(**fields | {"key": Key(names.get(table, table), pk, part.key.sk)})


async def answer(tables: Tables, step: Step, pk: str, names: Mapping[str, str] = SAME) -> Any:
    """An error is its kind: which one, where several are wrong at once, an engine may choose."""
    name, given_parts = step
    own = [moved(part, pk, names) for part in given_parts]
    try:
        if name == "write":
            return comparable(await tables.write(own))
        if name == "write_after":
            guard, followers = await tables.write_after(own[0], own[1:])
            return comparable([guard, *followers])
        outcome = await tables.transact(own)
        return "refused" if is_hopeless(outcome, own) else comparable([outcome])
    except BackboneError:
        return "refused"


def is_hopeless(outcome: object, own: Sequence[TransactionPart]) -> bool:
    """A cancelled transaction with an update in it may have had a path that leads nowhere besides."""
    return isinstance(outcome, Cancelled) and any(isinstance(part, Update) for part in own)


def comparable(outcomes: Sequence[object]) -> list[str]:
    """As text with sorted maps, because Python takes True for 1 and DynamoDB keeps no order."""
    return ["Unsettled" if isinstance(outcome, Unsettled) else as_text(outcome) for outcome in outcomes]


def as_text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {as_text(value[name])}" for name in sorted(value) if name != "pk") + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_text(part) for part in value) + "]"
    if hasattr(value, "__struct_fields__"):
        return type(value).__name__ + as_text([getattr(value, name) for name in value.__struct_fields__])
    return repr(value)


async def left(tables: Tables, pk: str) -> list[str]:
    pages = [await tables.query(Query(table, pk)) for table in (THINGS, OTHERS)]
    return [as_text(item) for page in pages for item in page.items]


Spared: TypeAlias = Callable[[str, TransactionPart, Item], bool]
"""Whether a known difference would show in a step of this name, in this part of it, where this item stands."""


def nothing(_name: str, _part: TransactionPart, _item: Item) -> bool:
    return False


def paths_that_lead_nowhere(name: str, part: TransactionPart, item: Item) -> bool:
    """ministack: test_an_update_through_what_is_no_map_stops_its_transaction,
    test_removing_through_what_is_no_map_is_refused."""
    if not isinstance(part, Update):
        return False
    paths = (*part.set, *part.remove) if name == "transact" else part.remove
    return any("/" in path and type(item.get(path.partition("/")[0])) is not dict for path in paths)


SPARED: Mapping[str, Spared] = {"none": nothing, "ministack": paths_that_lead_nowhere}


async def is_spared(spared: Spared, model: Tables, step: Step, pk: str, names: Mapping[str, str] = SAME) -> bool:
    name, given_parts = step
    items = await model.get([moved(part, pk, names).key for part in given_parts])
    return any(spared(name, part, item or {}) for part, item in zip(given_parts, items, strict=True))


async def compare(tables: Tables, program: Sequence[Step], spared: Spared = nothing) -> None:
    pk = SystemIds().new("pk")
    model = MemoryEngine(SystemClock(), SystemIds(), CONTRACT).tables
    for step in program:
        if not await is_spared(spared, model, step, pk):
            assert await answer(tables, step, pk) == await answer(model, step, pk), step
    assert await left(tables, pk) == await left(model, pk)


reproducible = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("rig", ["embedded"], indirect=True)
@settings(reproducible, max_examples=50)
@given(program=programs)
async def test_the_embedded_engine_does_what_the_memory_engine_does(rig: Rig, program: list[Step]) -> None:
    await compare(rig.engine.tables, program)


@pytest.mark.parametrize("rig", ["ministack"], indirect=True)
@settings(reproducible, max_examples=25)
@given(program=programs)
async def test_the_aws_engine_does_what_the_memory_engine_does(rig: Rig, program: list[Step]) -> None:
    await compare(rig.engine.tables, program, SPARED["ministack"])
