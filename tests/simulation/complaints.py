"""Hears the logs of the services, where nothing may be wrong but the surroundings."""

from __future__ import annotations

import logging

from tests.simulation.loop import SimulationLoop
from tests.simulation.violations import Violation

from penstock_backbone.errors import BackboneError, Retryable


class Complaints(logging.Handler):
    """An error in a service's log is a violation, and so is a warning that names an error of an engine, unless it only says
    that the surroundings are broken: the worst they do is Retryable."""

    def __init__(self, loop: SimulationLoop) -> None:
        super().__init__(logging.WARNING)
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else _named(record)
        if isinstance(error, Violation):
            self._loop.failure = error
        elif (error is None and record.levelno < logging.ERROR) or isinstance(error, Retryable):
            return
        elif self._loop.failure is None:
            words = f"{record.getMessage()} {error!r}" if error else record.getMessage()
            self._loop.failure = Violation("log", f"{record.name}: {words}")
            self._loop.failure.__cause__ = error


def _named(record: logging.LogRecord) -> BackboneError | None:
    arguments = record.args if isinstance(record.args, tuple) else ()
    return next((each for each in arguments if isinstance(each, BackboneError)), None)
