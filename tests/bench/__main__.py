"""`make bench`: runs the workloads, prints a table, and writes build/bench.json with flat keys."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.bench.workloads import WORKLOADS, Figures

OUTPUT = Path("build/bench.json")
PEERS = {
    "w1_stages_per_s": "Restate 990, DBOS on Postgres 260; goal 2,000",
    "w2_first_stage_p50_ms": "Celery 6.6, Restate 7.9; goal 6",
    "w3_ratio": "Restate 1.39; goal 1.05",
    "w3_floor": "of w3_ratio, with nothing done except the syncs",
    "start_within_p50_pct": "right is 50",
    "start_within_p90_pct": "right is 90",
}
"""What to compare with. Medians of other systems are on the same work on this kind of machine: another day, another noise."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], help="default: all")
    chosen = parser.parse_args().workloads or list(WORKLOADS)
    figures: Figures = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    for name in chosen:
        measured = WORKLOADS[name]()
        figures |= measured
        for key, value in measured.items():
            sys.stdout.write(f"{key:34} {value:12,.2f}   {PEERS.get(key, '')}\n")
        sys.stdout.flush()
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps({key: round(value, 3) for key, value in sorted(figures.items())}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
