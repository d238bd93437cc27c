"""Hears the logs of the services, where nothing may be wrong but the surroundings."""

from __future__ import annotations

import logging

from tests.simulation.loop import SimulationLoop
from tests.simulation.violations import Violation

from penstock_backbone.errors import BackboneError


class Complaints(logging.Handler):
    """An error in a service's log is a violation, unless it only says that the surroundings are broken."""

    def __init__(self, loop: SimulationLoop) -> None:
        super().__init__(logging.ERROR)
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Violation):
            self._loop.failure = error
        elif not isinstance(error, BackboneError) and self._loop.failure is None:
            words = f"{record.getMessage()} {error!r}" if error else record.getMessage()
            self._loop.failure = Violation("log", f"{record.name}: {words}")
            self._loop.failure.__cause__ = error
