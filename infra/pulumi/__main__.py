"""The Pulumi program: reads the stack's configuration, builds everything, and names what an operator needs."""

from __future__ import annotations

import pulumi

from penstock_infra.configuration import load
from penstock_infra.topology import build

topology = build(load())

pulumi.export("api_url", topology.api_url)
pulumi.export("event_bus", topology.event_bus)
pulumi.export("alarm_topic", topology.alarm_topic)
pulumi.export("repositories", topology.repositories)
