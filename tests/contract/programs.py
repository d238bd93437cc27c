"""Generated programs that write, get and query as the services do, and what an engine must answer to them: what the
memory engine answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from tests.contract.contract_inventory import BY_OWNER, CONTRACT, OTHERS, THINGS
from tests.contract.spared import Spare, leads_nowhere

from penstock_backbone.errors import BackboneError, BadCursor, Fatal, Invalid, Retryable, TooLarge
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.ports import Tables
from penstock_backbone.system import SystemClock, SystemIds
from penstock_backbone.vocabulary import (
    And,
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

PK = "program"
"""Text that begins so stands for a partition or an owner of the run's own, which is only known when it runs."""
PK_TOO = f"{PK}-too"
ANN, BOB = f"{PK}-ann", f"{PK}-bob"

SAME: Mapping[str, str] = {}

SOON_SECONDS = 5.0
"""For an index to follow its table: on AWS it may be seconds behind."""
AGAIN_SECONDS = 0.05
PAGES_MAX = 20
"""More than any query of a program has."""


class Get(NamedTuple):
    """Several keys travel as a batch, one alone as a single read."""

    keys: tuple[Key, ...]


Writing: TypeAlias = tuple[str, Sequence[TransactionPart]]
Step: TypeAlias = Writing | Get | Query

KEYS = (
    *(Key(THINGS, PK, sk) for sk in ("B", "a", "a#1", "a#é")),
    Key(THINGS, PK_TOO, "a"),
    *(Key(OTHERS, PK, sk) for sk in ("a", "b")),
)
NEVER_WRITTEN = Key(THINGS, PK, "z")

keys = st.sampled_from(KEYS)
plain = st.sampled_from([0, 1, 2, True, False, None, "", "a", "b", b"a"])
values = plain | st.lists(plain, max_size=2) | st.dictionaries(st.sampled_from("xy"), plain, max_size=2)
maps = st.dictionaries(st.sampled_from("xy"), plain, max_size=2)
owners = st.sampled_from([ANN, ANN, BOB])
indexed = {"owner": owners, "made": st.sampled_from(["1", "1", "1#a", "2"])}
loose = {"a": values, "b": values}
items = st.one_of(
    st.fixed_dictionaries({"m": maps, **indexed}, optional=loose),
    st.fixed_dictionaries({"m": maps}, optional=loose | indexed),
)
paths = st.sampled_from(["a", "b", "m", "m/x", "m/x", "m/y", "a/x"])
leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Equals, paths, values),
    st.builds(Equals, st.just("owner"), owners),
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
    st.builds(
        lambda plain, indexed: plain | indexed,
        st.dictionaries(paths, values, min_size=1, max_size=2),
        st.fixed_dictionaries({}, optional=indexed),
    ),
    whens,
    st.lists(paths | st.sampled_from(["owner", "made"]), max_size=1).map(tuple),
    st.booleans(),
)
writes: st.SearchStrategy[Write] = st.builds(Put, keys, items, whens) | updates | st.builds(Delete, keys, whens)
parts: st.SearchStrategy[TransactionPart] = writes | st.builds(Check, keys, conditions)
no_texts = st.sampled_from([5, True, ""])
not_to_be_indexed = st.builds(lambda key, value: [Put(key, {"owner": value, "made": "1"})], keys, no_texts)


def different(found: Any) -> Any:
    return st.lists(found, min_size=2, max_size=4, unique_by=lambda part: part.key)


writings: st.SearchStrategy[Writing] = st.one_of(
    st.tuples(st.just("write"), st.lists(writes, min_size=1, max_size=1)),
    st.tuples(st.just("write"), different(writes)),
    st.tuples(st.just("write_after"), different(writes)),
    st.tuples(st.just("transact"), different(parts)),
    st.tuples(st.just("write"), not_to_be_indexed),
)
gets = st.builds(
    Get, st.lists(keys | st.just(NEVER_WRITTEN), min_size=1, max_size=len(KEYS) + 1, unique=True).map(tuple)
)
limits = st.sampled_from([1, 1, 2, 3, 100])
queries = st.builds(
    Query,
    st.sampled_from([THINGS, THINGS, OTHERS]),
    st.sampled_from([PK, PK, PK_TOO]),
    prefix=st.sampled_from(["", "", "a", "a#", "z"]),
    descending=st.booleans(),
    limit=limits,
)
index_queries = st.builds(
    Query,
    st.just(THINGS),
    owners,
    index=st.just(BY_OWNER.name),
    prefix=st.sampled_from(["", "", "1", "1#", "3"]),
    descending=st.booleans(),
    limit=limits,
)
steps: st.SearchStrategy[Step] = writings | gets | queries | index_queries
beginnings = st.lists(st.builds(Put, keys, items), min_size=3, max_size=len(KEYS), unique_by=lambda put: put.key)
programs: st.SearchStrategy[list[Step]] = st.builds(
    lambda first, rest: [("write", first), *rest], beginnings, st.lists(steps, min_size=1, max_size=12)
)
LEFT: Sequence[Step] = (
    *(Query(table, pk) for table, pk in ((THINGS, PK), (THINGS, PK_TOO), (OTHERS, PK))),
    *(Query(THINGS, owner, BY_OWNER.name, limit=2) for owner in (ANN, BOB)),
)
"""What is left at the end of a program is looked at whole; of the index in pages, that may part equals."""

reproducible = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def own(value: Any, pk: str, names: Mapping[str, str] = SAME) -> Any:
    """The same with the run's own partitions and owners, and in other tables where `names` has them."""
    if isinstance(value, str):
        return pk + value.removeprefix(PK) if value.startswith(PK) else value
    if isinstance(value, Key):
        return Key(names.get(value.table, value.table), own(value.pk, pk), value.sk)
    if isinstance(value, dict):
        return {name: own(part, pk, names) for name, part in value.items()}
    if isinstance(value, Get):
        return Get(own(value.keys, pk, names))
    if isinstance(value, list | tuple):
        return type(value)(own(part, pk, names) for part in value)
    if isinstance(value, msgspec.Struct):
        return type(value)(*(own(getattr(value, name), pk, names) for name in value.__struct_fields__))
    return value


async def answer(tables: Tables, step: Step) -> str:
    """As text. An error is its kind: which one, where several are wrong at once, an engine may choose."""
    try:
        if isinstance(step, Query):
            return await whole(tables, step)
        if isinstance(step, Get):
            return as_text(await tables.get(step.keys))
        name, parts = step
        if name == "transact":
            return as_text(await tables.transact(parts))
        writes = [part for part in parts if not isinstance(part, Check)]  # which only a transaction has
        if name == "write":
            return as_text(await tables.write(writes))
        guard, followers = await tables.write_after(writes[0], writes[1:])
        return as_text([guard, *followers])
    except BackboneError as error:
        return kind(error)


def kind(error: BackboneError) -> str:
    """What its caller does next. The model never says Retryable, so an engine that does says why."""
    if isinstance(error, Retryable):
        return f"Retryable: {error}"
    return next(
        kind.__name__ for kind in (BadCursor, Invalid, TooLarge, Fatal, BackboneError) if isinstance(error, kind)
    )


async def whole(tables: Tables, query: Query) -> str:
    """Every page to the end. Which of several equals an index puts first is DynamoDB's choice."""
    items: list[Item] = []
    sizes: list[int] = []
    while len(sizes) < PAGES_MAX:
        page = await tables.query(query)
        items += page.items
        sizes.append(len(page.items))
        if page.cursor is None:
            break
        query = msgspec.structs.replace(query, cursor=page.cursor)
    else:
        return f"no end after {PAGES_MAX} pages"
    if query.index is not None:
        equals = groupby(items, key=lambda item: item[BY_OWNER.range_attribute])
        items = [item for _, some in equals for item in sorted(some, key=lambda item: (item["pk"], item["sk"]))]
    return f"pages of {sizes}: {as_text(items)}"


def as_text(value: Any) -> str:
    """With sorted maps, because Python takes True for 1 and DynamoDB keeps no order."""
    if isinstance(value, Unsettled):
        return "Unsettled"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {as_text(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_text(part) for part in value) + "]"
    if isinstance(value, msgspec.Struct):
        return type(value).__name__ + as_text([getattr(value, name) for name in value.__struct_fields__])
    return repr(value)


async def agree(tables: Tables, model: Tables, step: Step, *, soon_seconds: float = SOON_SECONDS) -> None:
    """`step` as `own` has made it. The answer of an index is asked for again until it is right or time is up."""
    expected = await model_answers(model, step)
    said = await answer(tables, step)
    if isinstance(step, Query) and step.index is not None:
        clock = SystemClock()
        end = clock.monotonic() + soon_seconds
        while said not in expected and clock.monotonic() < end:
            await clock.sleep(AGAIN_SECONDS)
            said = await answer(tables, step)
    assert said in expected, f"{step}\nis answered  {said}\nand not      {' or '.join(expected)}"


async def model_answers(model: Tables, step: Step) -> list[str]:
    """Two, where a transaction has a path that leads nowhere and a false condition: DynamoDB says which it met."""
    lost = False
    if not isinstance(step, Get | Query) and step[0] == "transact":
        lost = any(leads_nowhere(part, item) for part, item in await standing(model, step))
    said = await answer(model, step)
    return list(dict.fromkeys([said, Invalid.__name__] if lost else [said]))


async def standing(model: Tables, step: Writing) -> list[tuple[TransactionPart, Item | None]]:
    """Each part, with the item that it will meet."""
    _, parts = step
    return list(zip(parts, await model.get([part.key for part in parts]), strict=True))


async def is_spared(spared: Sequence[Spare], model: Tables, step: Step) -> bool:
    """Whether one of these would show in it."""
    if isinstance(step, Get | Query):
        return False
    met = await standing(model, step)
    return any(spare.shows(step[0], part, item) for spare in spared for part, item in met)


async def compare(
    tables: Tables, program: Sequence[Step], spared: Sequence[Spare] = (), *, soon_seconds: float = SOON_SECONDS
) -> None:
    pk = SystemIds().new("pk")
    model = MemoryEngine(SystemClock(), SystemIds(), CONTRACT).tables
    here = [spare for spare in spared if not spare.in_streams]
    for step in (own(step, pk) for step in (*program, *LEFT)):
        if not await is_spared(here, model, step):
            await agree(tables, model, step, soon_seconds=soon_seconds)
