"""Where the aws engine works: the stack, the region, the endpoint, and the physical names that follow from the stack."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import boto3

from penstock_backbone.errors import Fatal
from penstock_backbone.inventory import Inventory

EMULATOR_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """`endpoint_url` None is AWS itself; otherwise every service is asked at that one address (an emulator)."""

    stack: str
    region: str
    endpoint_url: str | None = None

    @classmethod
    def of(cls, stack: str, endpoint_url: str | None) -> AwsSettings:
        """The region comes from AWS_REGION, as for every other SDK, or else from where boto3 looks for it:
        AWS_DEFAULT_REGION, the profile."""
        region = os.environ.get("AWS_REGION") or boto3.Session().region_name
        if region is None and endpoint_url is None:
            raise Fatal("no AWS region is set: set AWS_REGION, for example AWS_REGION=eu-central-1")
        return cls(stack, region or EMULATOR_REGION, endpoint_url)

    @property
    def is_emulator(self) -> bool:
        return self.endpoint_url is not None

    @property
    def is_loopback(self) -> bool:
        """An emulator on this machine: it needs no proxy and takes any credentials."""
        host = urlsplit(self.endpoint_url or "").hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


class Names:
    """Physical names: the stack's prefix, a dash, the inventory's name."""

    def __init__(self, stack: str, inventory: Inventory) -> None:
        self._prefix = f"{stack}-"
        self.bus = self._prefix + inventory.bus
        self.bucket = self._prefix + inventory.bucket

    def physical(self, name: str) -> str:
        """Of a table, queue or rule."""
        return self._prefix + name

    def logical(self, physical: str) -> str:
        if not physical.startswith(self._prefix):
            raise Fatal(f"{physical!r} does not belong to the stack {self._prefix[:-1]!r}: check PENSTOCK_STACK")
        return physical.removeprefix(self._prefix)
