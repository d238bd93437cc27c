"""What differs between two stacks, read and checked once: everything else is the same everywhere."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi

from penstock_backbone.environment import HOSTS, ORIGINS, allowed_hosts, allowed_origins
from penstock_backbone.errors import Fatal

PREFIX_CHARS_MAX = 24
"""A load balancer's name ends at 32 characters, and the longest suffix must still fit."""
RUNNER_TASKS_MAX_DEFAULT = 4
BEDROCK = "bedrock:"
_BEDROCK_MODEL = r"[a-z0-9-]+\.[A-Za-z0-9.:-]{1,120}"
_PREFIX_PATTERN = rf"[a-z][a-z0-9-]{{1,{PREFIX_CHARS_MAX - 2}}}[a-z0-9]"


class ConfigurationError(Exception):
    """A setting is missing or cannot be meant; the text says which one and what to set instead."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One stack. Names in the comments are the keys for `pulumi config set`.

    `stack`: what every physical name begins with (penstock:prefix; default: project and stack name). A bucket's
    name is unique over all of AWS, so a company sets its own prefix.
    `api_client_cidrs`: who may reach the API from the internet (penstock:apiClientCidrs); nobody, by default,
    because then the load balancer stands inside the VPC only.
    `allowed_origins`: the web addresses whose pages may use the API from a browser (penstock:allowedOrigins).
    `allowed_hosts`: the names under which clients may ask the API (penstock:allowedHosts); by default all, because the
    load balancer has more than are known here.
    `certificate_arn`: makes the API speak HTTPS (penstock:certificateArn).
    `alarm_email` (penstock:alarmEmail), `otlp_endpoint` (penstock:otlpEndpoint): nothing when absent.
    `model` (penstock:model), `model_url` (penstock:modelUrl): what the runners get as PENSTOCK_MODEL and
    PENSTOCK_MODEL_URL; without a model the offline drafter drafts. A model on Bedrock gives their role the right to ask
    it. `model_key_secret` (penstock:modelKeySecretArn): a Secrets Manager secret that holds PENSTOCK_MODEL_KEY.
    `sandbox` (penstock:sandbox): PENSTOCK_SANDBOX; with a model `require` unless said otherwise.
    `runner_tasks_max`: each task runs several runs; more of them than the fleet limit can use is waste
    (penstock:runnerTasksMax).
    """

    stack: str
    region: str
    production: bool
    image_tag: str
    api_client_cidrs: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    certificate_arn: str | None = None
    alarm_email: str | None = None
    otlp_endpoint: str | None = None
    model: str | None = None
    model_url: str | None = None
    model_key_secret: str | None = None
    sandbox: str | None = None
    runner_tasks_max: int = RUNNER_TASKS_MAX_DEFAULT

    def __post_init__(self) -> None:
        if not re.fullmatch(_PREFIX_PATTERN, self.stack):
            raise ConfigurationError(
                f"The prefix {self.stack!r} must be 3 to {PREFIX_CHARS_MAX} lower-case letters, digits and hyphens, "
                "beginning with a letter: set it with `pulumi config set penstock:prefix NAME`."
            )
        if self.production and self.certificate_arn is None:
            raise ConfigurationError(
                "A production stack needs a certificate: `pulumi config set penstock:certificateArn ARN`."
            )
        self._check_model()
        if self.runner_tasks_max < self.runner_tasks_min:
            raise ConfigurationError(f"penstock:runnerTasksMax must be at least {self.runner_tasks_min}.")
        for block in self.api_client_cidrs:
            _check_cidr(block)
        for key, read, given in (
            ("allowedOrigins", allowed_origins, {ORIGINS: self.origins}),
            ("allowedHosts", allowed_hosts, {HOSTS: self.hosts}),
        ):
            try:
                read(given)
            except Fatal as error:
                raise ConfigurationError(f"penstock:{key} becomes {error}.") from error

    def physical(self, name: str) -> str:
        """The name of an inventory entry in the account; the services compute the same from PENSTOCK_STACK."""
        return f"{self.stack}-{name}"

    @property
    def origins(self) -> str:
        """As the API reads them."""
        return ",".join(self.allowed_origins)

    @property
    def hosts(self) -> str:
        """As the API reads them."""
        return ",".join(self.allowed_hosts) or "*"

    @property
    def api_tasks_min(self) -> int:
        """Two in production: one in each zone."""
        return 2 if self.production else 1

    @property
    def api_tasks_max(self) -> int:
        return 10 if self.production else 2

    @property
    def runner_tasks_min(self) -> int:
        """Never 0: backlog per task cannot be computed without a task."""
        return 2 if self.production else 1

    @property
    def outward_ports(self) -> tuple[int, ...]:
        """HTTPS for AWS and models, and the ports of the collector and of the model's service when they are others."""
        addresses = [address for address in (self.otlp_endpoint, self.model_url) if address is not None]
        return (443, *sorted({_port(address) for address in addresses} - {443}))

    @property
    def drafting(self) -> dict[str, str]:
        """The environment of the runners that says which model drafts, and where what it writes may run."""
        given = {"PENSTOCK_MODEL": self.model, "PENSTOCK_MODEL_URL": self.model_url}
        sandbox = self.sandbox or ("require" if self.model else "warn")
        return {name: value for name, value in given.items() if value is not None} | {"PENSTOCK_SANDBOX": sandbox}

    @property
    def bedrock_model(self) -> str | None:
        """The id of the model on Bedrock, or of the inference profile, that the runners ask."""
        return self.model.removeprefix(BEDROCK) if self.model is not None and self.model.startswith(BEDROCK) else None

    def _check_model(self) -> None:
        if self.sandbox not in {None, "require", "warn"}:
            raise ConfigurationError(f"penstock:sandbox is {self.sandbox!r}: set it to require or warn.")
        if self.model is None and (self.model_url or self.model_key_secret):
            raise ConfigurationError("Say which model to ask for: `pulumi config set penstock:model NAME`.")
        if self.bedrock_model is not None:
            if not re.fullmatch(_BEDROCK_MODEL, self.bedrock_model):
                raise ConfigurationError(
                    f"penstock:model is {self.model!r}: after {BEDROCK} comes a model's id or that of an inference "
                    "profile that AWS defines, such as eu.anthropic.claude-sonnet-4-20250514-v1:0, and no ARN."
                )
        elif self.model is not None and urlsplit(self.model_url or "").scheme not in {"http", "https"}:
            raise ConfigurationError(
                f"Say where {self.model} is: `pulumi config set penstock:modelUrl URL`, or name a {BEDROCK}<model id>."
            )

    @property
    def log_retention_days(self) -> int:
        return 90 if self.production else 14

    @property
    def archive_retention_days(self) -> int:
        return 30 if self.production else 7


def load() -> Configuration:
    """From the stack's configuration file."""
    config = pulumi.Config("penstock")
    region = pulumi.Config("aws").get("region")
    image_tag = config.get("imageTag")
    if region is None:
        raise ConfigurationError("Say where to build: `pulumi config set aws:region REGION`.")
    if image_tag is None:
        raise ConfigurationError("Say which images to run: `pulumi config set penstock:imageTag TAG`.")
    return Configuration(
        stack=config.get("prefix") or f"{pulumi.get_project()}-{pulumi.get_stack()}",
        region=region,
        production=config.get_bool("production") or False,
        image_tag=image_tag,
        api_client_cidrs=tuple(config.get_object("apiClientCidrs") or ()),
        allowed_origins=tuple(config.get_object("allowedOrigins") or ()),
        allowed_hosts=tuple(config.get_object("allowedHosts") or ()),
        certificate_arn=config.get("certificateArn"),
        alarm_email=config.get("alarmEmail"),
        otlp_endpoint=config.get("otlpEndpoint"),
        model=config.get("model"),
        model_url=config.get("modelUrl"),
        model_key_secret=config.get("modelKeySecretArn"),
        sandbox=config.get("sandbox"),
        runner_tasks_max=config.get_int("runnerTasksMax") or RUNNER_TASKS_MAX_DEFAULT,
    )


def _port(address: str) -> int:
    parts = urlsplit(address)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _check_cidr(block: str) -> None:
    try:
        ipaddress.ip_network(block)
    except ValueError as error:
        raise ConfigurationError(
            f"penstock:apiClientCidrs holds {block!r}, which is not a network: {error}."
        ) from error
