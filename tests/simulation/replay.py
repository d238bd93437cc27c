"""How the one world of a plan is called, and the command that plays it again, from a clone."""

from __future__ import annotations

from tests.simulation.exhaustive import PLANS, crash_after
from tests.simulation.plan import Plan


def name_of(plan: Plan) -> str:
    if not plan.crash_after:
        return f"seed {plan.seed}"
    part = " in part" if plan.crash_partly else ""
    return f"a death after write {plan.crash_after}{part} of the plan {_plan_of(plan)!r}"


def command_of(plan: Plan, *more: str) -> str:
    if not plan.crash_after:
        return _made(f"SEED={plan.seed}", *more)
    partly = ["--partly"] if plan.crash_partly else []
    return _made(f"CRASH_AFTER={plan.crash_after}", f"--plan {_plan_of(plan)}", *partly, *more)


def _made(variable: str, *arguments: str) -> str:
    words = " ".join(arguments)
    if not words:
        return f"make sim {variable}"
    return f"make sim {variable} ARGS='{words}'" if " " in words else f"make sim {variable} ARGS={words}"


def _plan_of(plan: Plan) -> str:
    alive = crash_after(plan, 0, partly=False)
    return next(name for name, known in PLANS.items() if known == alive)
