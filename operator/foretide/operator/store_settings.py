"""How the operator reaches the store: a part of its configuration."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from foretide.store.client import StoreAddress

from .api.fields import ApiModel, Duration, lasting


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
        try:
            parts = urlsplit(value)
            parts.port  # noqa: B018 - reading it is what checks it
        except ValueError:  # its message repeats the URL
            raise ValueError("url is not a valid URL") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must start with http:// or https:// and name a host")
        if parts.username or parts.password:
            raise ValueError("url must hold no credentials: use tokenFile")
        return value

    @field_validator("timeout")
    @classmethod
    def _patient(cls, value: float) -> float:
        if not 1 <= value <= 60:
            raise ValueError("timeout must be between 1s and 1m")
        return value

    @property
    def address(self) -> StoreAddress:
        """The same for the store's clients."""
        return StoreAddress(self.url, self.token_file, self.ca_file, self.timeout)
