"""A disposable Kubernetes on one machine, with Prometheus, for the demo, tests and benchmarks.

Real etcd, kube-apiserver, kube-controller-manager, kube-scheduler and Prometheus; KWOK's nodes and
pods. No Docker, no root, everything on loopback. With root there can be a real node instead, with
containerd and a kubelet (`sandbox.node`). `python -m sandbox --help` is the command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.controls import Component, Player
    from sandbox.errors import SandboxError
    from sandbox.handle import Sandbox
    from sandbox.spec import DemandSeries, SandboxSpec
    from sandbox.traces import Trace, TraceError, load_trace

__all__ = [
    "Component",
    "DemandSeries",
    "Player",
    "Sandbox",
    "SandboxError",
    "SandboxSpec",
    "Trace",
    "TraceError",
    "load_trace",
]

# Imported when first used: the player and the other processes of a sandbox come through this
# module too, and would otherwise load all of it before they serve.
_MODULES = {
    "Component": "controls",
    "DemandSeries": "spec",
    "Player": "controls",
    "Sandbox": "handle",
    "SandboxError": "errors",
    "SandboxSpec": "spec",
    "Trace": "traces",
    "TraceError": "traces",
    "load_trace": "traces",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'sandbox' has no attribute {name!r}")
    return getattr(import_module(f"sandbox.{_MODULES[name]}"), name)
