"""Adds up what an attempt consumed."""

from __future__ import annotations

from penstock_events.facts import Usage

AMOUNT_MAX = 10**15
"""What JavaScript still counts exactly, with room for the sum over a run's items."""


class UsageTotal:
    """A UsageMeter. `total` None: nothing was measured, which is not the same as zero."""

    def __init__(self) -> None:
        self.total: dict[str, int] | None = None

    def add(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        tool_calls: int | None = None,
        cost_microusd: int | None = None,
    ) -> None:
        measured = Usage(
            input_tokens=input_tokens, output_tokens=output_tokens, tool_calls=tool_calls, cost_microusd=cost_microusd
        )
        total = self.total = self.total or {}
        for name, amount in measured.model_dump(exclude_none=True).items():
            if total.get(name, 0) + amount > AMOUNT_MAX:
                raise ValueError(f"{name} would be more than {AMOUNT_MAX}")
            total[name] = total.get(name, 0) + amount
