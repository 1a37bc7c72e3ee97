"""What a sandbox is made of, before any of it runs: the spec, the folder, the ports, the times."""

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.layout import Layout
from sandbox.node.addresses import Addresses
from sandbox.spec import SandboxSpec

LOOPBACK = "127.0.0.1"

PORT_NAMES = (
    "etcd",
    "etcd-peer",
    "etcd-health",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "prometheus",
    "player",
    "external-metrics",
    "node",
)


@dataclass(frozen=True)
class Command:
    """How to start one component, and how to know that it is ready.

    `health` is a URL that answers 200 when it is ready; a component without one is a job that is
    ready when it has ended well. `after` names those that must be ready first.
    """

    name: str
    argv: tuple[str, ...]
    health: str | None
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All that the commands are made of. `started` is Unix seconds; `node` is a real node's."""

    spec: SandboxSpec
    layout: Layout
    binaries: Mapping[str, str]
    ports: Mapping[str, int]
    started: float
    node: Addresses | None = None

    def url(self, name: str, *, scheme: str = "http") -> str:
        return f"{scheme}://{LOOPBACK}:{self.ports[name]}"

    @property
    def api_address(self) -> str:
        """Where the API server listens: pods on a real node could not reach loopback."""
        return LOOPBACK if self.node is None else self.node.host

    @property
    def api_url(self) -> str:
        return f"https://{self.api_address}:{self.ports['kube-apiserver']}"

    def pki(self, name: str) -> str:
        return str(self.layout.pki / name)

    def config(self, name: str) -> str:
        return str(self.layout.config / name)
