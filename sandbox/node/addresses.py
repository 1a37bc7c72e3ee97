"""The addresses of one node: a 10.N.0.0/16 that nothing else on the machine uses."""

import ipaddress
import json
import os
import random
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from sandbox.errors import SandboxError
from sandbox.node.packages import path

PRIVATE = ipaddress.ip_network("10.0.0.0/8")


@dataclass(frozen=True)
class Addresses:
    """What lies where in 10.N.0.0/16, all of which the host routes to the node."""

    number: int

    @property
    def network(self) -> str:
        return f"10.{self.number}.0.0/16"

    @property
    def pods(self) -> str:
        return f"10.{self.number}.0.0/17"

    @property
    def services(self) -> str:
        """Of ClusterIPs: the host reaches them through the node's kube-proxy."""
        return f"10.{self.number}.128.0/18"

    @property
    def api_service(self) -> str:
        """The ClusterIP of the Service `kubernetes`: always the first of its range."""
        return f"10.{self.number}.128.1"

    @property
    def host(self) -> str:
        """The host's end of the cable, which pods reach; the API server listens here."""
        return f"10.{self.number}.255.1"

    @property
    def node(self) -> str:
        return f"10.{self.number}.255.2"

    @property
    def cable(self) -> str:
        """The name of the host's network interface towards the node."""
        return f"foretide{self.number}"

    @property
    def cgroup(self) -> str:
        """The name of the cgroup, in each hierarchy, under which all pods are."""
        return f"foretide-node-{self.number}"


def choose(taken: Sequence[IPv4Network], draw: random.Random) -> Addresses:
    """A random free network. Raises SandboxError when every one overlaps with a `taken` one."""
    numbers = free(taken)
    if not numbers:
        raise SandboxError("no network 10.N.0.0/16 is free on this machine for a node's pods")
    return Addresses(draw.choice(numbers))


def free(taken: Sequence[IPv4Network]) -> list[int]:
    """Each N whose 10.N.0.0/16 overlaps with no network that is taken."""
    return [
        number
        for number in range(1, 255)
        if not any(ipaddress.ip_network(f"10.{number}.0.0/16").overlaps(net) for net in taken)
    ]


def networks(routes: Iterable[dict[str, object]]) -> list[IPv4Network]:
    """The networks in the output of `ip -json route show table all`, the default route left out.

    A route to half or a whole of 10.0.0.0/8 or more (a VPN's, perhaps) counts as a way out, too:
    the node's own, narrower one goes before it.
    """
    found = []
    for route in routes:
        destination = str(route.get("dst", "default"))
        if destination == "default":
            continue
        network = ipaddress.IPv4Network(destination, strict=False)
        if network.prefixlen > PRIVATE.prefixlen + 1:
            found.append(network)
    return found


def in_use() -> list[IPv4Network]:
    """What the host routes at present, its own addresses among it."""
    command = ["ip", "-json", "-4", "route", "show", "table", "all"]
    environment = {**os.environ, "PATH": path()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SandboxError(f"{' '.join(command)}: {done.stderr.strip()}")
    return networks(json.loads(done.stdout or "[]"))
