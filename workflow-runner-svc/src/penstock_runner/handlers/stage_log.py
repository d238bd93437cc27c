"""The log of one attempt: bound to its run and stage, without secrets, and never more than people would read."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

LINE_CHARS_MAX = 2_000
ATTEMPT_CHARS_MAX = 64 * 1024

_stage_log = logging.getLogger("penstock_runner.stage")
_trace = logging.Formatter().formatException


class StageLog(logging.LoggerAdapter[logging.Logger]):
    """Redacts whole lines, before it cuts them: half a secret would not be known as one."""

    def __init__(self, run: str, stage: str, redact: Callable[[str], str]) -> None:
        super().__init__(_stage_log, {})
        self._prefix = f"[{run} {stage}] "
        self._redact = redact
        self._left = ATTEMPT_CHARS_MAX

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        if not self.isEnabledFor(level) or self._left <= 0:
            return
        text = _formatted(msg, args)
        if kwargs.get("exc_info"):
            text += _traceback(kwargs["exc_info"])
        text = self._redact(text[: 8 * LINE_CHARS_MAX])
        if len(text) > LINE_CHARS_MAX:
            text = f"{text[:LINE_CHARS_MAX]}… ({len(text) - LINE_CHARS_MAX} characters more)"
        self._left -= len(text)
        self.logger.log(level, "%s%s", self._prefix, text)
        if self._left <= 0:
            self.logger.warning("%sThis attempt has logged enough: the rest is left out.", self._prefix)


class RedactingFilter(logging.Filter):
    """For the handlers of a runner: what libraries log while they work for a stage is not bound to it, but holds no
    secrets either."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        text = _formatted(record.msg, record.args or ())
        record.msg, record.args = self._redact(text[: 8 * LINE_CHARS_MAX]), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = self._redact(_trace(record.exc_info))
        return True


def _formatted(msg: object, args: tuple[Any, ...] | Mapping[str, Any]) -> str:
    """A line that cannot be formatted is the author's mistake, and no reason to fail the stage."""
    if len(args) == 1 and isinstance(args, tuple) and isinstance(args[0], Mapping):
        args = args[0]
    try:
        return str(msg) % args if args else str(msg)
    except (TypeError, ValueError, KeyError):
        return f"{msg} {args!r}"


def _traceback(given: object) -> str:
    """`given` as logging takes it: an exception, or True for the one that is being handled."""
    error = given if isinstance(given, BaseException) else sys.exception()
    return "" if error is None else "\n" + _trace((type(error), error, error.__traceback__))
