"""`make spec`: checks the specification of the gate in every state it can reach, and that it can fail.

Needs spin and a C compiler (Debian and Ubuntu: the packages spin and gcc). About 2.5 GB of memory for a few minutes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SPECIFICATION = Path(__file__).with_name("admission.pml")
MUTANTS = {
    1: "the head is moved without comparing it",
    2: "a decision is made before the redo list is applied",
    3: "a run is claimed without looking at its fence",
    4: "a stage is committed without looking at the fence",
    5: "an unclaimed grant is taken back without raising the run's fence",
    6: "a slot is freed before its run is fenced off",
}
"""Of runs that are killed and lost."""
MUTANTS_RETURNING = {
    7: "a run returns under the fence that it had",
    8: "a run returns beside the token that it had",
    9: "a run's new token does not know the fences of the old one",
    10: "a token is withdrawn from the line without its fence",
    11: "a slot is freed before its run has rested or yielded",
}
"""Of runs that rest, are paused, yield and return."""
SEARCH_SECONDS_MAX = 900
DEPTH_MAX = 100_000


def main() -> int:
    missing = [tool for tool in ("spin", "cc") if shutil.which(tool) is None]
    if missing:
        sys.stderr.write(f"{' and '.join(missing)} not found: install the packages spin and gcc, then try again.\n")
        return 1
    wrong, caught, survived = 0, 0, 0
    for histories, mutants in ("killed and lost", MUTANTS), ("returning", MUTANTS_RETURNING):
        returning = histories == "returning"
        errors, states = search(0, returning=returning)
        wrong += errors
        sys.stdout.write(f"the specification, runs {histories}: {states:,} states, {errors} errors\n")
        for mutant, story in mutants.items():
            found = search(mutant, returning=returning)[0] > 0
            caught, survived = caught + found, survived + (not found)
            sys.stdout.write(f"{'caught' if found else 'SURVIVED'}: {story}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{caught} mutants caught, {survived} survived\n")
    return 1 if wrong or survived else 0


def search(mutant: int, *, returning: bool) -> tuple[int, int]:
    """(errors, distinct states) of a search that ended by itself; RuntimeError when it did not see everything."""
    with tempfile.TemporaryDirectory(prefix="penstock-spec-") as folder:
        run = ["spin", f"-DMUTANT={mutant}", f"-DRETURNING={int(returning)}", "-a", str(SPECIFICATION)]
        subprocess.run(run, cwd=folder, check=True, capture_output=True)
        compile_it = ["cc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"]
        subprocess.run(compile_it, cwd=folder, check=True, capture_output=True)
        table_bits = 26 if mutant == 0 else 22
        search_it = ["./pan", f"-m{DEPTH_MAX}", f"-w{table_bits}"]
        report = subprocess.run(
            search_it, cwd=folder, check=False, capture_output=True, text=True, timeout=SEARCH_SECONDS_MAX
        ).stdout
    errors = re.search(r"errors: (\d+)", report)
    states = re.search(r"(\S+) states, stored", report)
    if errors is None or states is None or "max search depth too small" in report or "out of memory" in report:
        message = f"the search did not end: {report[-2000:]}"
        raise RuntimeError(message)
    return int(errors[1]), int(float(states[1]))


if __name__ == "__main__":
    sys.exit(main())
