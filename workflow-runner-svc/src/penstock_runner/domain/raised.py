"""What an exception of a stage's code says to its author: in words, and where it was raised."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from penstock_runner.authoring import FinalError

TRACE_CHARS_MAX = 16 * 1024
SHOWN_CHARS_MAX = 1_800
SHOWN_LINE_CHARS_MAX = 500
FRAMES_MAX = 8
_OUR_FRAMES = ("penstock_runner.handlers.", "penstock_runner.adapters.", "penstock_runner.domain.")
_GROUPED_MAX = 5


def is_final(error: BaseException, final_errors: tuple[type[BaseException], ...]) -> bool:
    """Trying again cannot help: its author says so of the error, or of one of those in a group."""
    if isinstance(error, (FinalError, *final_errors)):
        return True
    return isinstance(error, BaseExceptionGroup) and any(is_final(each, final_errors) for each in error.exceptions)


def words_of(error: BaseException) -> str:
    """A group says what is in it: its own words only count."""
    if not isinstance(error, BaseExceptionGroup):
        return _words(error)
    told = [f"{type(each).__name__}: {_words(each)}" for each in _single(error)]
    return "; ".join([f"{_words(error)}: {told[0]}", *told[1:_GROUPED_MAX]])


def trace_of(error: BaseException) -> str:
    """Its traceback, without our own frames before those of the stage. Empty where nobody looks for the place: it is an
    error of ours, or one whose words are for the user."""
    trace = error.__traceback__
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith(_OUR_FRAMES):
        trace = trace.tb_next
    if trace is None or isinstance(error, FinalError):
        return ""
    return "".join(traceback.format_exception(type(error), error, trace, limit=-FRAMES_MAX))[-TRACE_CHARS_MAX:]


def end_of(trace: str) -> str:
    """What fits into a log of its last lines."""
    kept: list[str] = []
    left = SHOWN_CHARS_MAX
    for line in reversed(trace.rstrip().split("\n")):
        shown = line if len(line) <= SHOWN_LINE_CHARS_MAX else f"… ({len(line)} characters)"
        left -= len(shown) + 1
        kept.append(shown if left >= 0 else "…")
        if left < 0:
            break
    return "\n".join(reversed(kept))


def _words(error: BaseException) -> str:
    try:
        return str(error) or repr(error)
    except Exception as broken:  # noqa: BLE001  # the author's, too
        return f"(its own words cannot be had: {type(broken).__name__})"


def _single(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _single(each)
    else:
        yield error
