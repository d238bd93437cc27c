"""Whether a package may be delivered: it is inspected, then its own tests run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import assert_never

from penstock_runner.authoring import FinalError
from penstock_runner.workflows.building.documents import AssemblyReport, SourceFile, TestReport
from penstock_runner.workflows.building.inspection import CHECKED, inspect, inspect_files
from penstock_runner.workflows.building.packaging import Package
from penstock_runner.workflows.building.workbench import NotImported, Ran, Refused, TookTooLong, Workbench

ERROR_OUTPUT_CHARS_MAX = 1200
_COUNT = re.compile(r"(\d+) (passed|failed|errors?)")


class NothingRan(FinalError):
    """The machine cannot shut in what a model drafts, and may not run it otherwise."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"What a model drafts may not run on this runner: {reason}. "
            "Use a machine that can shut it in, or set PENSTOCK_SANDBOX=warn."
        )


def refuse_untestable(workbench: Workbench) -> None:
    """Raises NothingRan before anybody has paid for a package that could not be tested."""
    if (refused := workbench.refusal()) is not None:
        raise NothingRan(refused.reason)


async def inspected(package: Package) -> AssemblyReport:
    """Raises FinalError with everything that is wrong with it."""
    found = await asyncio.to_thread(inspect, package)
    refuse(found.problems)
    return AssemblyReport(manifest=package.manifest, checks=CHECKED, notes=found.notes)


def refuse(problems: Sequence[str]) -> None:
    if problems:
        raise FinalError("The package cannot be built: " + " ".join(problems))


async def tested(files: Sequence[SourceFile], workbench: Workbench) -> TestReport:
    """Tests that fail fail again, so the run ends; tests that took too long may have met a busy machine."""
    outcome = await workbench.run_tests(files)
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
            raise NothingRan(reason)
        case _:
            assert_never(outcome)


async def faults_in_proof(files: Sequence[SourceFile], workbench: Workbench) -> list[str]:
    """What is wrong with files that are a package but for their manifest, for a model to mend. Raises NothingRan."""
    if problems := (await asyncio.to_thread(inspect_files, files)).problems:
        return list(problems)
    try:
        await tested(files, workbench)
    except NothingRan:
        raise
    except (FinalError, TimeoutError) as error:
        return [str(error)]
    return []


async def faults_in_package(package: Package, workbench: Workbench) -> list[str]:
    """As faults_in_proof, of the whole package as it would be delivered."""
    found = await asyncio.to_thread(inspect, package)
    return list(found.problems) or await faults_in_proof(package.files, workbench)


def counts(output: str) -> tuple[int, int]:
    """Passed, and failed or in error, from pytest's last line ("1 failed, 4 passed in 0.05s")."""
    lines = output.strip().splitlines() or [""]
    found = {word: int(number) for number, word in _COUNT.findall(lines[-1])}
    return found.get("passed", 0), sum(count for word, count in found.items() if word != "passed")


def tail(output: str) -> str:
    return output.strip()[-ERROR_OUTPUT_CHARS_MAX:]
