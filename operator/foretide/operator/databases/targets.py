"""From a resource and its Secret to where to connect. The administrator's rules decide.

A name is resolved here, and what was looked at is what is connected to: that it stands for another
address a moment later (DNS rebinding) helps nobody. Of what a connection string may say, only who
and where is taken: no files, no services, no list of hosts, no waiting without end.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor.connection import ALIASES, WHOLE, Target
from foretide.dbadvisor.database import DatabaseError

from ..api.databaseadvisor import ConnectionSpec
from ..database_settings import NAMESPACE, AllowedDatabase, network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# The addresses that a host's name stands for.
Resolve = Callable[[str, int], Sequence[str]]

PORT = 5432
TAKEN = ("dbname", "user", "password", "sslmode", "channel_binding")
# There is none: the operator's own must not let anybody in.
NO_PASSWORD_FILE = "/nonexistent/pgpass"
MOST_ADDRESSES = 4
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")


class Refused(Exception):
    """There is no way to the database; `reason` is for machines, `message` says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Place:
    """A database that the resource may be connected to, by this rule. `who` is what else a
    connection says: database, user, password.
    """

    host: str
    port: int
    rule: AllowedDatabase
    who: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Place({self.host}:{self.port})"


def place_of(
    secret: Mapping[str, str],
    connection: ConnectionSpec,
    namespace: str,
    rules: Sequence[AllowedDatabase],
) -> Place:
    """Where a resource of this namespace wants to go, if it may. `secret` is the Secret as text.

    Raises:
        Refused: the Secret does not say where, or the administrator has not allowed it.
    """
    parameters = _parameters(secret, connection)
    host, port = _host_and_port(parameters, namespace)
    rule = next((rule for rule in rules if _is_of(rule, host, port, namespace)), None)
    if rule is None:
        raise Refused(
            "HostNotAllowed",
            f"the operator's configuration does not allow {host}:{port} for namespace {namespace}: "
            f"the administrator may add it to databases.allowed (host: {host}, ports: [{port}])",
        )
    return Place(host, port, rule, {name: parameters[name] for name in TAKEN if name in parameters})


def target_of(place: Place, resolve: Resolve) -> Target:
    """The same as libpq takes it, with addresses that were looked at. It may wait for DNS.

    Raises:
        Refused: the name is not known, or stands for what it must not.
    """
    literal = _address(place.host)
    texts = [place.host] if literal else list(resolve(place.host, place.port))[:MOST_ADDRESSES]
    for text in texts:
        address = _address(text)
        if literal is None and not (address is not None and _may_be(address, place.rule)):
            raise Refused(
                "HostNotAllowed",
                f"{place.host} stands for {text}, which a name may not: the administrator may add "
                f"it to addresses of the rule for {place.rule.host}",
            )
    if not texts:
        raise Refused("HostUnknown", f"{place.host} stands for no address")
    # No empty list: libpq would ask its environment.
    target = Target({"host": place.host, "port": str(place.port), **place.who}, foreign=True)
    target.parameters |= {
        "host": ",".join([place.host] * len(texts)),
        "hostaddr": ",".join(texts),
        "port": str(place.port),
        "passfile": NO_PASSWORD_FILE,
    }
    if place.rule.ca_file is not None:
        target.parameters |= {"sslmode": "verify-full", "sslrootcert": str(place.rule.ca_file)}
    return target


def resolved(host: str, port: int) -> list[str]:
    """The addresses that a name stands for, by the system's resolver.

    Raises:
        Refused: for none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or "no valid name"
        raise Refused("HostUnknown", f"{host} cannot be resolved: {said}") from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _parameters(secret: Mapping[str, str], connection: ConnectionSpec) -> dict[str, str]:
    reference = connection.secret_ref
    given = {name.lower().strip(): text.strip() for name, text in secret.items()}
    if reference.key is not None:
        if reference.key not in secret:
            there = ", ".join(sorted(secret)) or "none"
            raise Refused(
                "SecretKeyMissing",
                f"Secret {reference.name} has no key {reference.key}; its keys: {there}"[:300],
            )
        given = {"dsn": secret[reference.key]}
    said = {
        "host": connection.host,
        "port": None if connection.port is None else str(connection.port),
        "dbname": connection.database,
    }
    own = {name: text for name, text in said.items() if text is not None}
    if not any(given.get(name) for name in WHOLE):
        given = {ALIASES.get(name, name): text for name, text in given.items() if text} | own
    try:
        return Target(given, foreign=True).parameters | own
    except DatabaseError as error:
        raise Refused("SecretInvalid", f"Secret {reference.name}: {error}") from None


def _host_and_port(parameters: Mapping[str, str], namespace: str) -> tuple[str, int]:
    host, port = parameters.get("host", ""), parameters.get("port", "") or str(PORT)
    if parameters.get("hostaddr") or "," in host or "," in port:
        raise Refused("SecretInvalid", "give one host, by its name or address, and no hostaddr")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65_535):
        raise Refused("SecretInvalid", "port must be a number from 1 to 65535")
    host = host.lower()
    if _address(host) is not None:
        return host, int(port)
    if not _NAME.fullmatch(host):
        raise Refused("SecretInvalid", "host is neither a name nor an address")
    host = host.removesuffix(".")
    # In the operator's own pod a short name would be that of a Service in its own namespace.
    return host if "." in host else f"{host}.{namespace}.svc", int(port)


def _is_of(rule: AllowedDatabase, host: str, port: int, namespace: str) -> bool:
    if port not in rule.ports or (rule.namespaces and namespace not in rule.namespaces):
        return False
    address, wanted = _address(host), network(rule.host)
    if address is not None or wanted is not None:
        return address is not None and wanted is not None and address in wanted
    pattern = rule.host.replace(NAMESPACE, namespace)
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and host != pattern[1:]
    return host == pattern


def _may_be(address: Address, rule: AllowedDatabase) -> bool:
    if rule.addresses:
        return any(address in wanted for text in rule.addresses if (wanted := network(text)))
    local = address.is_loopback or address.is_link_local or address.is_unspecified
    return not (local or address.is_multicast)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address
