"""The ledger of the shards, in the tokens table: which shard a tenant belongs to, and what each may hold.

    SHARDS / LEDGER  {ver, cid, map, shards, known, budgets: {scope: {"<shard>": n, …}}}

Without the item there is one shard, and it has every limit to itself. `shards` is the number that tenants are spread
over, and `map` grows whenever that changes; `known` is how many shards there ever were, because a token may still stand
in one that was given up. A scope of `budgets` bounds every shard: one that it does not name may hold nothing there.
A scope that is not there bounds nobody.

What a shard may hold is lowered only together with its head (`fence_head`): a decision that was made on more is refused.
The head names the version of the ledger that did so, and nobody decides by an older one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from penstock_backbone.inventory import TOKENS
from penstock_backbone.records.tokens import TokenItem, head_key, token_key
from penstock_backbone.vocabulary import Check, Delete, Equals, Item, Key, Missing, Put, Update

_LEDGER = Key(TOKENS, "SHARDS", "LEDGER")

Budget = Mapping[int, int]
"""Of one scope: how many tokens each shard may hold."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """`version` 0: nothing is written yet."""

    version: int = 0
    commit_id: str = ""
    map: int = 0
    shards: int = 1
    known: int = 1
    budgets: Mapping[str, Budget] = field(default_factory=dict)

    def home(self, tenant: str) -> int:
        """The shard that the tenant's tokens belong to."""
        return home_of(tenant, self.shards)


def ledger_key() -> Key:
    return _LEDGER


def as_ledger(item: Item | None) -> Ledger:
    if item is None:
        return Ledger()
    budgets = {scope: {int(shard): most for shard, most in budget.items()} for scope, budget in item["budgets"].items()}
    return Ledger(item["ver"], item["cid"], item["map"], item["shards"], item["known"], budgets)


def write_ledger(new: Ledger) -> Put:
    """The whole of it, in place of the version before. Refused with our own commit id: it had succeeded before."""
    item: Item = {
        "ver": new.version, "cid": new.commit_id, "map": new.map, "shards": new.shards, "known": new.known,
        "budgets": {
            scope: {str(shard): most for shard, most in budget.items()} for scope, budget in new.budgets.items()
        },
    }  # fmt: skip
    when = Missing("pk") if new.version == 1 else Equals("ver", new.version - 1)
    return Put(_LEDGER, item, when=when)


def fence_head(shard: int, *, seq: int, ledger: int, commit_id: str) -> Update:
    """In one transaction with the ledger's version `ledger`: whoever decides on what was before is refused. Only once the
    head's operations are applied."""
    changes = {"seq": seq + 1, "cid": commit_id, "pend": [], "ledger": ledger}
    return Update(head_key(shard), changes, when=Equals("seq", seq))


def begin_head(shard: int, *, ledger: int) -> Put:
    """Of a shard that was never there before."""
    return Put(head_key(shard), {"seq": 0, "cid": "", "pend": [], "ledger": ledger}, when=Missing("pk"))


def ledger_of(head: Item) -> int:
    """The oldest version of the ledger that may be decided by."""
    version: int = head.get("ledger", 0)
    return version


def same_map(ledger: Ledger) -> Check:
    """The tenants have not been spread anew since it was read."""
    return Check(_LEDGER, Equals("map", ledger.map) if ledger.version else Missing("pk"))


def no_token(shard: int, token: str) -> Check:
    return Check(token_key(shard, token), Missing("pk"))


def move_token(token: TokenItem, *, source: int, target: int) -> tuple[Delete, Put]:
    """In one transaction with the ledger and both heads, so that the token is in one shard at every moment."""
    item = {name: value for name, value in token.items() if name not in ("pk", "sk")}
    as_it_is = Equals("st", token["st"]) & Equals("f", token["f"])
    return (
        Delete(token_key(source, token["sk"]), when=as_it_is),
        Put(token_key(target, token["sk"]), item, when=Missing("pk")),
    )


@lru_cache(maxsize=100_000)
def home_of(tenant: str, shards: int) -> int:
    """The same on every machine. From N to N + 1 shards only one tenant in N + 1 moves (jump consistent hashing)."""
    if shards == 1:
        return 0
    state = int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:8], "big")
    shard, jump = 0, 0
    while jump < shards:
        shard = jump
        state = (state * 2862933555777941757 + 1) % (1 << 64)
        jump = (shard + 1) * (1 << 31) // ((state >> 33) + 1)
    return shard
