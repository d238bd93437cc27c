"""Each connection to AWS reads the descriptions of five services, a fifth of a second; all of one process share them."""

from __future__ import annotations

from functools import cache

from botocore import session


@cache
def read_once() -> None:
    session.create_loader = cache(session.create_loader)
