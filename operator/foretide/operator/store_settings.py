"""How the operator reaches the store: a part of its configuration."""

from pathlib import Path

from pydantic import Field, field_validator

from foretide.store.client import StoreAddress

from .api.fields import ApiModel, Duration, http_url, lasting, patience


class StoreSettings(ApiModel):
    """The store, which keeps roll-ups of demand for longer than Prometheus does."""

    url: str = Field(description="Base URL, for example http://foretide-store.foretide.svc:8081.")
    token_file: Path = Field(
        description="A file that holds the store's bearer token; read again at each use."
    )
    ca_file: Path | None = Field(
        default=None, description="A CA bundle to trust instead of the system's."
    )
    timeout: Duration = lasting("10s", description="How long to wait for an answer.")

    @field_validator("url")
    @classmethod
    def _http_without_secrets(cls, value: str) -> str:
        return http_url(value, credentials="tokenFile")

    @field_validator("timeout")
    @classmethod
    def _patient(cls, value: float) -> float:
        return patience(value)

    @property
    def address(self) -> StoreAddress:
        """The same for the store's clients."""
        return StoreAddress(self.url, self.token_file, self.ca_file, self.timeout)
