"""`penstock provision`: makes an AWS emulator ready for `penstock up`."""

from __future__ import annotations

import sys

from penstock_backbone.aws.provision import provision as create_everything
from penstock_backbone.aws.settings import AwsSettings
from penstock_cli.preflight import require_endpoint


async def provision(endpoint: str, stack: str) -> int:
    await require_endpoint(endpoint, "--endpoint")
    await create_everything(AwsSettings.of(stack, endpoint))
    sys.stdout.write(
        f"The stack {stack} is ready at {endpoint}. Now: PENSTOCK_ENGINE=aws PENSTOCK_AWS_ENDPOINT={endpoint} penstock up\n"
    )
    return 0
