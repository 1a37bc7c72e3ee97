"""How profiles are pushed to Pyroscope: a part of the operator's configuration."""

import re

from pydantic import Field, field_validator

from .endpoint_settings import AuthenticatedEndpoint


class PyroscopeSettings(AuthenticatedEndpoint):
    """A Pyroscope, or what speaks its protocol, that gets a copy of all profiles. In Grafana Cloud
    the user name of `basicAuth` is a number.
    """

    url: str = Field(description="Base URL, for example http://pyroscope.monitoring.svc:4040.")
    tenant: str | None = Field(
        default=None, description="The tenant, sent as X-Scope-OrgID where there are several."
    )

    @field_validator("tenant")
    @classmethod
    def _sendable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9!._*'()-]{1,150}", value):
            raise ValueError("tenant has letters, digits and !._*'()-, 150 at most")
        return value
