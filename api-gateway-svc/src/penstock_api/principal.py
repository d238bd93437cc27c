"""Whose request this is. The one place that real authentication will replace."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_api.domain.limit_change import TENANT_NAME
from penstock_api.problems import Problem, invalid_header, invalid_parameter

TENANT_HEADER = "Penstock-Tenant"
TENANT_PARAMETER = "tenant"
TENANT_DEFAULT = "default"
_RULE = "must be 1 to 40 lower-case letters, digits and dashes, not a dash first"


def tenant_of(headers: Mapping[str, str]) -> str:
    """Raises Problem for a name that cannot be a tenant's."""
    tenant = headers.get(TENANT_HEADER)
    if tenant is None:
        return TENANT_DEFAULT
    if not TENANT_NAME.fullmatch(tenant):
        raise Problem(*invalid_header(TENANT_HEADER, _RULE))
    return tenant


def tenant_of_stream(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """As tenant_of. A browser's EventSource and WebSocket cannot send the header, so that the address may say it."""
    tenant = query.get(TENANT_PARAMETER)
    if tenant is None or TENANT_HEADER in headers:
        return tenant_of(headers)
    if not TENANT_NAME.fullmatch(tenant):
        raise Problem(*invalid_parameter(TENANT_PARAMETER, _RULE))
    return tenant
