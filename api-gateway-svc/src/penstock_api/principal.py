"""Whose request this is. The one place that real authentication will replace."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_api.domain.limit_change import TENANT_NAME
from penstock_api.problems import Problem, invalid_header

TENANT_HEADER = "Penstock-Tenant"
TENANT_DEFAULT = "default"


def tenant_of(headers: Mapping[str, str]) -> str:
    """Raises Problem for a name that cannot be a tenant's."""
    tenant = headers.get(TENANT_HEADER)
    if tenant is None:
        return TENANT_DEFAULT
    if not TENANT_NAME.fullmatch(tenant):
        raise Problem(
            *invalid_header(TENANT_HEADER, "must be 1 to 40 lower-case letters, digits and dashes, not a dash first")
        )
    return tenant
