"""Whether a package may be delivered: it is inspected, then its own tests run."""

from __future__ import annotations

import asyncio
import re
from typing import assert_never

from penstock_runner.authoring import FinalError
from penstock_runner.workflows.building.documents import AssemblyReport, TestReport
from penstock_runner.workflows.building.inspection import CHECKED, inspect
from penstock_runner.workflows.building.packaging import Package
from penstock_runner.workflows.building.workbench import NotImported, Ran, Refused, TookTooLong, Workbench

ERROR_OUTPUT_CHARS_MAX = 1200
_COUNT = re.compile(r"(\d+) (passed|failed|errors?)")


async def inspected(package: Package) -> AssemblyReport:
    """Raises FinalError with everything that is wrong with it."""
    found = await asyncio.to_thread(inspect, package)
    if found.problems:
        raise FinalError("The package cannot be built: " + " ".join(found.problems))
    return AssemblyReport(manifest=package.manifest, checks=CHECKED, notes=found.notes)


async def tested(package: Package, workbench: Workbench) -> TestReport:
    """Tests that fail fail again, so the run ends; tests that took too long may have met a busy machine."""
    outcome = await workbench.run_tests(package.files)
    match outcome:
        case Ran(exit_code=0, output=output, duration_ms=duration_ms):
            passed, failed = counts(output)
            if passed == 0:
                raise FinalError(f"No test of the package passed, though nothing failed. It says:\n{tail(output)}")
            return TestReport(passed=passed, failed=failed, duration_ms=duration_ms, output=output)
        case Ran(exit_code=code, output=output):
            raise FinalError(f"The package's tests failed (exit code {code}). They end with:\n{tail(output)}")
        case NotImported(output=output):
            raise FinalError(f"A module of the package cannot be imported. It says:\n{tail(output)}")
        case TookTooLong(seconds=seconds, output=output):
            raise TimeoutError(f"The package's tests did not end within {seconds:g} s. So far:\n{tail(output)}")
        case Refused(reason=reason):
            raise FinalError(
                f"The package's tests did not run: {reason}. Use such a machine, or set PENSTOCK_SANDBOX=warn."
            )
        case _:
            assert_never(outcome)


def counts(output: str) -> tuple[int, int]:
    """Passed, and failed or in error, from pytest's last line ("1 failed, 4 passed in 0.05s")."""
    lines = output.strip().splitlines() or [""]
    found = {word: int(number) for number, word in _COUNT.findall(lines[-1])}
    return found.get("passed", 0), sum(count for word, count in found.items() if word != "passed")


def tail(output: str) -> str:
    return output.strip()[-ERROR_OUTPUT_CHARS_MAX:]
