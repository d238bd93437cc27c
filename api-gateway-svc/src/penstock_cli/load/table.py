"""Shows a report on a terminal: what was measured, the same at the trace's own pace, and the ideal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock_backbone.words import counted
from penstock_cli.load.domain.course import Due
from penstock_cli.load.domain.figures import Report, Settings, in_words, offered_percent, remarks
from penstock_cli.load.domain.measures import Measures

TENANTS_SHOWN_MAX = 20


def show(told: Report, console: Console) -> None:
    if told.real:
        console.print()
        console.print(_figures(told, told.real))
        console.print()
        console.print(_tenants(told, told.real))
        hidden = len(told.real.tenants) - TENANTS_SHOWN_MAX
        if hidden > 0:
            console.print(Text(f"{counted(hidden, 'more tenant')}: --json writes all", "dim"))
        console.print()
    for remark in remarks(told):
        console.print(Text(remark, "yellow"), soft_wrap=True)
    console.print(Text(_consumed(told), "dim"), soft_wrap=True)
    failed = len(told.outcome.errors)
    console.print(
        Text(f"{len(told.outcome.courses)} succeeded, {failed} failed", "bold red" if failed else "green"),
    )


def _figures(told: Report, real: Measures) -> Table:
    speed, best = told.settings.speed, told.best
    table = _table("", "measured", f"× {speed:,}", "ideal")

    def times(title: str, of: Callable[[Measures], float]) -> None:
        table.add_row(title, in_words(of(real)), in_words(of(real) * speed), in_words(of(best)))

    def others(title: str, of: Callable[[Measures], str]) -> None:
        table.add_row(title, of(real), "", of(best))

    times("wait, half of the runs", lambda measures: measures.wait_s.p50)
    times("wait, nine of ten", lambda measures: measures.wait_s.p90)
    times("wait, longest", lambda measures: measures.wait_s.most)
    times("first arrival to last end", lambda measures: measures.makespan_s)
    ratio = real.makespan_s / best.makespan_s
    table.add_row("  over the ideal", f"{ratio:.3f}", "", "1")
    others("slots used", lambda measures: f"{100 * measures.used:.1f} %")
    others("  of those somebody wanted", lambda measures: f"{100 * measures.used_of_wanted:.1f} %")
    overhead = real.overhead_s
    table.add_row("overhead of a run, half", in_words(overhead.p50), "", "0 ms")
    table.add_row("  nine of ten", in_words(overhead.p90), "", "")
    others("fairness (Jain, slowdowns)", lambda measures: f"{measures.jain:.3f}")
    others("largest lead over a waiter", _lead)
    return table


def _tenants(told: Report, real: Measures) -> Table:
    table = _table("tenant", "runs", "wait, half", f"× {told.settings.speed:,}", "ideal", "slowdown", "ideal")
    for tenant, own in list(real.tenants.items())[:TENANTS_SHOWN_MAX]:
        best = told.best.tenants[tenant]
        table.add_row(
            tenant, str(own.runs), in_words(own.wait_p50_s), in_words(own.wait_p50_s * told.settings.speed),
            in_words(best.wait_p50_s), f"{own.slowdown_mean:.2f}", f"{best.slowdown_mean:.2f}",
        )  # fmt: skip
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _lead(measures: Measures) -> str:
    if measures.lead_slots is None:
        return "–"
    return "1 slot" if measures.lead_slots == 1 else f"{measures.lead_slots} slots"


def _consumed(told: Report) -> str:
    usage = told.outcome.usage
    words = {"input_tokens": ("token", " in"), "output_tokens": ("token", " out"), "tool_calls": ("tool call", "")}
    said = [counted(usage[name], noun) + where for name, (noun, where) in words.items() if name in usage]
    if "cost_microusd" in usage:
        said.append(f"{usage['cost_microusd'] / 1e6:,.2f} $")
    return "reported by the runs: " + (" · ".join(said) or "nothing was measured")


def introduction(settings: Settings, dues: Sequence[Due], seconds: float) -> str:
    """`seconds`: what an ideal scheduler would need."""
    offered = offered_percent(dues, settings.slots)
    asked = "" if offered is None else f"{offered:.2g}" if offered < 10 else f"{offered:,.0f}"
    arrivals = f"so that {asked} % of the slots are asked for" if asked else "all at once"
    return (
        f"Penstock load: {counted(len(dues), 'run')} of {settings.trace} at speed {settings.speed:,}, arriving {arrivals}; "
        f"at most {settings.slots} at a time.\nAn ideal scheduler would need {in_words(seconds)}."
    )
