"""The workflows that ship with the runner, wired to their real parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock_backbone.ports import Clock
from penstock_runner.authoring import Workflow

if TYPE_CHECKING:
    from penstock_runner.workflows.building.model import DraftingModel


def built_in(
    clock: Clock,
    model: DraftingModel,
    pace_seconds: float = 0.0,
    resources: tuple[str, ...] = (),
    *,
    must_confine: bool = False,
) -> tuple[Workflow, ...]:
    """What a runner offers. `pace_seconds` slows the offline drafter down for people who watch it; `resources` are what
    asking the model uses; `must_confine`: generated code runs in a sandbox or not at all."""
    # Imported here: whoever wants one of the other workflows of this package would wait for all that these need.
    from penstock_runner.workflows.agent_build.workflow import build_agent_build  # noqa: PLC0415  # imports are slow
    from penstock_runner.workflows.agent_update.workflow import build_agent_update  # noqa: PLC0415  # imports are slow
    from penstock_runner.workflows.building.child_workbench import ChildWorkbench, Limits  # noqa: PLC0415  # imports are slow
    from penstock_runner.workflows.building.drafting import Workshop  # noqa: PLC0415  # imports are slow
    from penstock_runner.workflows.tool_build.workflow import build_tool_build  # noqa: PLC0415  # imports are slow

    workbench = ChildWorkbench(clock, Limits(must_confine=must_confine))
    shop = Workshop(model, workbench, clock, pace_seconds, resources)
    return (build_agent_build(shop), build_agent_update(shop), build_tool_build(shop))
