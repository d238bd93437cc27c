"""`make bench`: runs the workloads, prints a table, and writes build/bench.json with flat keys.

All of them begin a new file; named ones replace their keys in the old one. The exit code is 1 when a bar is missed (bars.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.bench.bars import BARS, missed
from tests.bench.workloads import WORKLOADS, Figures

OUTPUT = Path("build/bench.json")
PEERS = {
    "w1_stages_per_s": "Restate 990, DBOS on Postgres 260; goal 2,000",
    "w2_first_stage_p50_ms": "Celery 6.6, Restate 7.9; goal 6",
    "w3_ratio": "Restate 1.39; goal 1.05",
    "w3_floor": "of w3_ratio, with nothing done except the syncs",
    "freed_to_granted_p50_ms": "one run at a time",
    "freed_to_granted_p99_ms": "one run at a time",
    "flood_median_wait_change_pct": "100,000 runs against 30 that are always waiting",
    "flood_change_from_trickle_pct": "100,000 runs against one that is always waiting; see flood.py",
    "start_within_p50_pct": "right is 50",
    "start_within_p90_pct": "right is 90",
}
"""What to compare with. Medians of other systems are on the same work on this kind of machine: another day, another noise."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], help="default: all")
    named = parser.parse_args().workloads
    figures: Figures = json.loads(OUTPUT.read_text()) if named and OUTPUT.exists() else {}
    seen: Figures = {}
    for name in named or WORKLOADS:
        measured = WORKLOADS[name]()
        seen |= measured
        for key, value in measured.items():
            sys.stdout.write(row(key, value) + "\n")
        sys.stdout.flush()
    OUTPUT.parent.mkdir(exist_ok=True)
    everything = sorted((figures | seen).items())
    OUTPUT.write_text(json.dumps({key: round(value, 3) for key, value in everything}, indent=1) + "\n")
    if failed := missed(seen):
        told = ", ".join(f"{key} is {seen[key]:,.3f} and must be {BARS[key]}" for key in failed)
        sys.stderr.write(f"Missed: {told}. A busy machine can be the reason: see whether it repeats.\n")
        return 1
    return 0


def row(key: str, value: float) -> str:
    remarks = [PEERS.get(key, ""), f"bar: {BARS[key]}" if key in BARS else "", "MISSED" if missed({key: value}) else ""]
    return f"{key:34} {value:12,.2f}   {'; '.join(filter(None, remarks))}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
