"""How profiles are pushed to Pyroscope: a part of the operator's configuration."""

import re
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from .api.fields import ApiModel, Duration, http_url, lasting, patience


class PyroscopeBasicAuth(ApiModel):
    """HTTP basic authentication."""

    username: str = Field(min_length=1, description="The user name, of Grafana Cloud a number.")
    password_file: Path = Field(
        description="A file that holds the password, such as a mounted Secret."
    )


class PyroscopeSettings(ApiModel):
    """A Pyroscope, or what speaks its protocol, that gets a copy of all profiles."""

    url: str = Field(description="Base URL, for example http://pyroscope.monitoring.svc:4040.")
    bearer_token_file: Path | None = Field(
        default=None, description="A file that holds a bearer token; read again at each use."
    )
    basic_auth: PyroscopeBasicAuth | None = Field(
        default=None, description="HTTP basic authentication."
    )
    tenant: str | None = Field(
        default=None, description="The tenant, sent as X-Scope-OrgID where there are several."
    )
    ca_file: Path | None = Field(
        default=None, description="A CA bundle to trust instead of the system's."
    )
    timeout: Duration = lasting("10s", description="How long to wait for an answer.")

    @field_validator("url")
    @classmethod
    def _http_without_secrets(cls, value: str) -> str:
        return http_url(value, credentials="basicAuth with a passwordFile, or bearerTokenFile")

    @field_validator("timeout")
    @classmethod
    def _patient(cls, value: float) -> float:
        return patience(value)

    @field_validator("tenant")
    @classmethod
    def _sendable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9!._*'()-]{1,150}", value):
            raise ValueError("tenant has letters, digits and !._*'()-, 150 at most")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.bearer_token_file and self.basic_auth:
            raise ValueError("give bearerTokenFile or basicAuth, not both")
        return self
