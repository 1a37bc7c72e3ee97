"""How the operator reaches the store: a part of its configuration."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from foretide.store.client import StoreAddress

from .endpoint_settings import EndpointSettings


class StoreSettings(EndpointSettings):
    """The store, which keeps roll-ups of demand for longer than Prometheus does."""

    credentials: ClassVar[str] = "tokenFile"

    url: str = Field(description="Base URL, for example http://foretide-store.foretide.svc:8081.")
    token_file: Path = Field(
        description="A file that holds the store's bearer token; read again at each use."
    )

    @property
    def address(self) -> StoreAddress:
        """The same for the store's clients."""
        return StoreAddress(self.url, self.token_file, self.ca_file, self.timeout)
