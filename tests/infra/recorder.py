"""Runs the Pulumi program itself, without its CLI and without a cloud, and returns everything it asked for."""

from __future__ import annotations

import asyncio
import runpy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks

PROGRAM = Path(__file__).parents[2] / "infra/pulumi/__main__.py"
REGION = "eu-central-1"
ACCOUNT = "123456789012"
ZONES = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]

SERVICE_OF_TYPE = {
    "aws:dynamodb/table:Table": "dynamodb:{region}:{account}:table/{name}",
    "aws:sqs/queue:Queue": "sqs:{region}:{account}:{name}",
    "aws:cloudwatch/eventBus:EventBus": "events:{region}:{account}:event-bus/{name}",
    "aws:cloudwatch/eventRule:EventRule": "events:{region}:{account}:rule/{name}",
    "aws:lambda/function:Function": "lambda:{region}:{account}:function:{name}",
    "aws:cloudwatch/logGroup:LogGroup": "logs:{region}:{account}:log-group:{name}",
    "aws:s3/bucket:Bucket": "s3:::{name}",
    "aws:iam/role:Role": "iam::{account}:role/{name}",
    "aws:sns/topic:Topic": "sns:{region}:{account}:{name}",
    "aws:ecr/repository:Repository": "ecr:{region}:{account}:repository/{name}",
    "aws:ecs/cluster:Cluster": "ecs:{region}:{account}:cluster/{name}",
}


@dataclass(frozen=True)
class Resource:
    """One resource as the engine would have been asked for it; `inputs` in the provider's camelCase."""

    type: str
    name: str
    inputs: dict[str, Any]
    protect: bool
    ignored: tuple[str, ...]
    waits_for: frozenset[tuple[str, str]]
    """Type and name of what must be there before it."""


@dataclass(frozen=True)
class Program:
    """Everything one run of the program registered."""

    stack: str
    resources: tuple[Resource, ...]
    needs: Mapping[str, frozenset[str]]
    """By URN, components included: the parent, and what must be there before it."""

    def of_type(self, kind: str) -> list[Resource]:
        """By the last part of the type: "Table", "Queue"."""
        return [resource for resource in self.resources if resource.type.rsplit(":", 1)[-1] == kind]

    def one(self, kind: str, name: str) -> Resource:
        """By the inventory's name, without the stack's prefix."""
        found = [resource for resource in self.of_type(kind) if resource.name == f"{self.stack}-{name}"]
        assert len(found) == 1, (kind, name, [resource.name for resource in self.of_type(kind)])
        return found[0]


def arn(kind: str, name: str) -> str:
    template = SERVICE_OF_TYPE.get(kind, kind.split(":")[1].split("/", maxsplit=1)[0] + ":{region}:{account}:{name}")
    return "arn:aws:" + template.format(region=REGION, account=ACCOUNT, name=name)


class _Cloud(Mocks):
    """Answers what the real providers would: names, ARNs, addresses."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        name = args.inputs.get("name") or args.name
        outputs = {"arn": arn(args.typ, name), "name": name, "arnSuffix": f"suffix-of/{name}"} | args.inputs
        match args.typ:
            case "aws:dynamodb/table:Table" if args.inputs.get("streamEnabled"):
                outputs["streamArn"] = f"{outputs['arn']}/stream/2026-11-24T00:00:00.000"
            case "aws:sqs/queue:Queue":
                outputs["url"] = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
            case "aws:ecr/repository:Repository":
                outputs["repositoryUrl"] = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}"
            case "aws:lb/loadBalancer:LoadBalancer":
                outputs["dnsName"] = f"{name}.elb.amazonaws.com"
        return f"{args.name}-id", outputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        match args.token:
            case "aws:index/getAvailabilityZones:getAvailabilityZones":
                return {"names": ZONES}, []
            case "aws:index/getCallerIdentity:getCallerIdentity":
                return {"accountId": ACCOUNT}, []
        raise AssertionError(f"unexpected call of {args.token}")


class _Recorder(MockMonitor):
    """Keeps what the mocks are not shown: the options."""

    def __init__(self) -> None:
        super().__init__(_Cloud())
        self.found: list[Resource] = []
        self.needs: dict[str, frozenset[str]] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # gRPC's name
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]  # Pulumi's own gap
        self.needs[response.urn] = frozenset(filter(None, (request.parent, *request.dependencies)))
        if request.custom:
            inputs = pulumi.runtime.rpc.deserialize_properties(request.object)
            ignored = tuple(request.ignoreChanges)
            waits_for = frozenset(map(_type_and_name, request.dependencies))
            resource = Resource(request.type, request.name, dict(inputs), bool(request.protect), ignored, waits_for)
            self.found.append(resource)
        return response


def _type_and_name(urn: str) -> tuple[str, str]:
    """urn:pulumi:<stack>::<project>::<parents' types>$<type>::<name>"""
    *_, types, name = urn.split("::")
    return types.rsplit("$", 1)[-1], name


def run_program(settings: Mapping[str, str], *, stack: str = "dev") -> Program:
    """`settings` are the stack's configuration with their namespaces."""
    recorder = _Recorder()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # Pulumi takes the thread's loop, and another test may have left it without one
    set_mocks(_Cloud(), project="penstock", stack=stack, preview=False, monitor=recorder)
    pulumi.runtime.set_all_config(dict(settings))

    run = pulumi.runtime.test(lambda: runpy.run_path(str(PROGRAM)) and None)  # type: ignore[no-untyped-call]  # Pulumi's own gap
    with warnings.catch_warnings():
        # The provider warns about its own retired modules whenever one of their neighbours is imported.
        warnings.simplefilter("ignore", DeprecationWarning)
        run()
    asyncio.set_event_loop(None)
    loop.close()
    prefix = settings.get("penstock:prefix", f"penstock-{stack}")
    return Program(prefix, tuple(recorder.found), recorder.needs)
