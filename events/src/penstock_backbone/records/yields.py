"""Which runs are asked to yield: to give their slots back at their next checkpoints, because tenants hold none.

    YIELDS / ASKS (tokens table)  {ver, cid, asks: [[token sk, fence], …]}

An ask stands for as long as its token is held under that fence. The item is written in one transaction with the wishes
on the runs, and with checks of the heads: what the asks were decided from is then true at that moment, and
two orchestrators cannot ask twice for one tenant.
"""

from __future__ import annotations

from typing import NamedTuple

from penstock_backbone.inventory import TOKENS
from penstock_backbone.records.tokens import head_key
from penstock_backbone.vocabulary import Check, Equals, Item, Key, Missing, Put

_ASKS = Key(TOKENS, "YIELDS", "ASKS")
ASKS_MAX = 20
"""That stand at once: with the heads of all shards they fit one transaction."""
YIELDS_MAX = 5
"""Of one run: each adds four facts to its story, and delays it by a turn in the line."""


class Ask(NamedTuple):
    """The token `token` (a sort key), held under `fence`."""

    token: str
    fence: int


class Asks(NamedTuple):
    """`version` 0: there is no item yet."""

    version: int = 0
    commit_id: str = ""
    standing: tuple[Ask, ...] = ()


def asks_key() -> Key:
    return _ASKS


def as_asks(item: Item | None) -> Asks:
    return Asks() if item is None else Asks(item["ver"], item["cid"], tuple(Ask(*each) for each in item["asks"]))


def write_asks(new: Asks) -> Put:
    """Refused with our own `cid`: the transaction had succeeded before."""
    item: Item = {"ver": new.version, "cid": new.commit_id, "asks": [list(each) for each in new.standing]}
    return Put(_ASKS, item, when=Missing("pk") if new.version == 1 else Equals("ver", new.version - 1))


def head_stands(shard: int, *, seq: int) -> Check:
    """For a transaction: nothing was decided in the shard since its head was at `seq`."""
    return Check(head_key(shard), Equals("seq", seq))
