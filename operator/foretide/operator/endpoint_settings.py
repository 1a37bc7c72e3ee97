"""What the configuration says of each service that the operator talks to over HTTP."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator

from .api.fields import ApiModel, Duration, http_url, lasting, patience


class EndpointSettings(ApiModel):
    """Where a service is, whom to trust and how long to wait. `credentials` names the fields that
    hold secrets, for the message where one stands in the URL.
    """

    credentials: ClassVar[str]

    url: str
    ca_file: Path | None = Field(
        default=None, description="A CA bundle to trust instead of the system's."
    )
    timeout: Duration = lasting("10s", description="How long to wait for an answer.")

    @field_validator("url")
    @classmethod
    def _http_without_secrets(cls, value: str) -> str:
        return http_url(value, credentials=cls.credentials)

    @field_validator("timeout")
    @classmethod
    def _patient(cls, value: float) -> float:
        return patience(value)


class BasicAuthSettings(ApiModel):
    """HTTP basic authentication."""

    username: str = Field(min_length=1, description="The user name.")
    password_file: Path = Field(
        description="A file that holds the password, such as a mounted Secret."
    )


class AuthenticatedEndpoint(EndpointSettings):
    """One that takes a bearer token, or a user's name and password, or neither."""

    credentials: ClassVar[str] = "basicAuth with a passwordFile, or bearerTokenFile"

    bearer_token_file: Path | None = Field(
        default=None, description="A file that holds a bearer token; read again at each use."
    )
    basic_auth: BasicAuthSettings | None = Field(
        default=None, description="HTTP basic authentication."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.bearer_token_file and self.basic_auth:
            raise ValueError("give bearerTokenFile or basicAuth, not both")
        return self
