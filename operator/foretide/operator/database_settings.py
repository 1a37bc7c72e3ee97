"""Which databases resources may be connected to: a part of the operator's configuration."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from .api.fields import ApiModel

NAMESPACE = "{namespace}"
_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*\.?")
_OBJECT = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Port = Annotated[int, Field(ge=1, le=65_535)]


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The addresses that a text such as 10.0.0.0/8 or 10.1.2.3 stands for, None if it is none."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


class AllowedDatabase(ApiModel):
    """Hosts that DatabaseAdvisors may be connected to."""

    host: str = Field(
        min_length=1,
        max_length=253,
        description="A host's name, *.example.org for all names below one, an address, or a network such as 10.0.0.0/8. {namespace} stands for the resource's own namespace, as in *.{namespace}.svc.",
    )
    ports: list[Port] = Field(default=[5432], min_length=1, description="Ports of these hosts.")
    namespaces: list[Annotated[str, Field(pattern=_OBJECT)]] = Field(
        default=[], description="Whose resources may do so. Those of all namespaces by default."
    )
    addresses: list[str] = Field(
        default=[],
        description="What the name may stand for: addresses and networks. By default any but loopback, link-local and multicast.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="A CA bundle. With it the server's certificate must be of one of these CAs and have the host's name (sslmode verify-full).",
    )

    @field_validator("host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        value = value.lower()
        if network(value) is None and not _NAME.fullmatch(value.replace(NAMESPACE, "namespace")):
            raise ValueError(
                f"host {value!r} is no name, no *.NAME, no address and no network: 10.0.0.0/8 has "
                "no bits after its prefix"
            )
        return value.removesuffix(".")

    @field_validator("addresses")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        for text in value:
            if network(text) is None:
                raise ValueError(f"{text!r} is no address and no network such as 10.0.0.0/8")
        return value


class DatabaseSettings(ApiModel):
    """What DatabaseAdvisors may do."""

    allowed: list[AllowedDatabase] = Field(
        default=[],
        description="Hosts that DatabaseAdvisors may be connected to. None by default.",
    )
