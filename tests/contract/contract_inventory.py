"""Tables, queues, rules and consumers for the contract suites: one of its own for each test that must not share."""

from __future__ import annotations

from penstock_backbone.inventory import SESSIONS, Consumer, Index, Inventory, Queue, Rule, Table

THINGS = "things"
OTHERS = "others"
WATCHED = "watched"
BY_OWNER = Index("by_owner", hash_attribute="owner", range_attribute="made")

STREAMS = (
    "ordered", "quiet", "sparing", "transacted", "cancelled", "ended", "resumed", "rewound", "paged", "awaited",
    "doubled", "guarded", "crowded",
    "settled",
    "stated",
    "relayed",
    "dispatched",
    "parted",
)  # fmt: skip
"""Each has a table `stream-<name>` and a consumer `<name>-reader`, for one test."""

WANTED = "wanted"
"""The partition that `part-reader` is told of."""

TELLING, TELLING_TOO = "telling", "telling-too"
ALONG, LATE = "along-reader", "late-reader"
"""Read both, for generated programs."""

QUEUES = (
    "plain", "hidden", "handed-back", "lengthened", "expired", "partial", "grouped", "kept", "awaited",
    "rivals", "large", "many", "foreign", "fair", "followed", "twice", "long", "dispatched",
)  # fmt: skip
POISONED = "poisoned"
RECEIVES_MAX = 3
VISIBILITY_SECONDS = 30

SOURCE = "contract"

CONTRACT = Inventory(
    tables=(
        Table(THINGS, "items of most tests", indexes=(BY_OWNER,)),
        Table(SESSIONS, "where the aws engine keeps the consumers' positions"),
        Table(OTHERS, "the second table of a transaction"),
        Table(WATCHED, "items that are followed", streamed=True),
        *(Table(f"stream-{name}", f"read by {name}-reader", streamed=True) for name in STREAMS),
        *(Table(name, "written by generated programs", streamed=True) for name in (TELLING, TELLING_TOO)),
    ),
    queues=(
        *(Queue(name, "one test's", VISIBILITY_SECONDS, dead_letter=False) for name in QUEUES),
        Queue(POISONED, "its messages are received too often", VISIBILITY_SECONDS, receives_max=RECEIVES_MAX),
        *(
            Queue(f"bus-{name}", "target of a rule", VISIBILITY_SECONDS, dead_letter=False)
            for name in ("exact", "nested", "shape", "all", "relayed")
        ),
        Queue("failures", "records that failed", VISIBILITY_SECONDS, dead_letter=False),
    ),
    rules=(
        Rule("exact", "by type", {"source": [SOURCE], "detail-type": ["Exact", "Twice"]}, "bus-exact"),
        Rule(
            "nested",
            "by content",
            {"source": [SOURCE], "detail": {"metadata": {"tenant": ["acme", {"prefix": "big-"}]}, "size": [7]}},
            "bus-nested",
        ),
        Rule("shape", "one event, looked at closely", {"source": [SOURCE], "detail-type": ["Shape"]}, "bus-shape"),
        Rule("relayed", "from a stream", {"source": [SOURCE], "detail-type": ["Relayed"]}, "bus-relayed"),
        Rule("all", "several entries at once", {"source": [f"{SOURCE}-all"]}, "bus-all"),
    ),
    consumers=(
        *(Consumer(f"{name}-reader", "one test's", (f"stream-{name}",), failures="failures") for name in STREAMS),
        Consumer("part-reader", "one partition of a table", ("stream-parted",), WANTED, failures="failures"),
        *(
            Consumer(name, "a generated program's", (TELLING, TELLING_TOO), failures="failures")
            for name in (ALONG, LATE)
        ),
        Consumer("pair-reader", "two tables in one", ("stream-doubled", "stream-guarded"), failures="failures"),
    ),
    bus="contract",
    bucket="contract-artifacts",
)
