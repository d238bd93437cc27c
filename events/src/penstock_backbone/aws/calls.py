"""boto3 behind async calls: one bounded pool of threads, one client a service, every error sorted."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from penstock_backbone.aws.errors import sort_error
from penstock_backbone.aws.settings import AwsSettings
from penstock_backbone.errors import BackboneError, Fatal

THREADS_MAX = 32
CONNECT_SECONDS_MAX = 1
READ_SECONDS_MAX = 5
LONG_POLL_READ_SECONDS_MAX = 25
ATTEMPTS_MAX = 3

Answer = TypeVar("Answer")


class Service(StrEnum):
    """The services by boto3's names."""

    TABLES = "dynamodb"
    STREAMS = "dynamodbstreams"
    BUS = "events"
    QUEUES = "sqs"
    BLOBS = "s3"


class Calls:
    """Clients are built at their first use, on a thread: each takes a tenth of a second or more."""

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings
        self._place = settings.endpoint_url or f"AWS in {settings.region}"
        self._pool = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="penstock-aws")
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None
        self._clients: dict[Service, Any] = {}
        self._closed = False

    async def call(self, service: Service, operation: str, **arguments: Any) -> dict[str, Any]:
        """The response of one operation (a method of boto3's low-level client), or a sorted error."""
        return await self.on_thread(partial(self.call_here, service, operation, **arguments))

    async def on_thread(self, work: partial[Answer]) -> Answer:
        """`work` runs on the pool; cancelling the caller does not stop it."""
        if self._closed:
            raise Fatal("this connection to AWS was closed: open another one")
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def call_here(self, service: Service, operation: str, **arguments: Any) -> dict[str, Any]:
        """For work that is on a thread of the pool already."""
        try:
            answer: dict[str, Any] = getattr(self._client(service), operation)(**arguments)
        except (ClientError, BotoCoreError) as error:
            raise self.sorted(error, f"{service} {operation}") from error
        return answer

    def sorted(self, error: Exception, doing: str) -> BackboneError:
        return sort_error(error, doing, self._place)

    async def close(self) -> None:
        """Waits for the calls under way: a long poll, at worst."""
        self._closed = True
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    def _client(self, service: Service) -> Any:
        client = self._clients.get(service)
        if client is None:
            with self._lock:
                client = self._clients.get(service) or self._build(service)
                self._clients[service] = client
        return client

    def _build(self, service: Service) -> Any:
        self._session = self._session or boto3.Session(region_name=self._settings.region)
        # An emulator on this machine has no accounts, and a proxy could not reach it.
        dummy = {"aws_access_key_id": "local", "aws_secret_access_key": "local"} if self._settings.is_loopback else {}
        config = Config(
            connect_timeout=CONNECT_SECONDS_MAX,
            read_timeout=LONG_POLL_READ_SECONDS_MAX if service is Service.QUEUES else READ_SECONDS_MAX,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
            max_pool_connections=THREADS_MAX,
            tcp_keepalive=True,
            proxies={} if self._settings.is_loopback else None,
            s3={"addressing_style": "path"} if self._settings.is_emulator else None,
        )
        build: Any = self._session.client
        return build(str(service), endpoint_url=self._settings.endpoint_url, config=config, **dummy)
