"""The sidecar in a workload's template, for `allowRollout`. Pure.

Server-side apply keeps account of which fields are ours. To take the sidecar away again, the same
manager applies an empty template: what was ours goes, what was there before stays, and the
template is as it was.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Mapping
from typing import Any

from ..api.predictivescaler import ScaleTargetRef
from . import containers, routes
from .containers import PROFILER, Order
from .facts import SIDECAR, PodFacts
from .routes import Refusal

Json = dict[str, Any]

__all__ = ["SIDECAR", "has_sidecar", "profiler_of", "with_sidecar", "without_sidecar"]

MANAGER = "foretide-profiler"
# On workloads whose template was changed, so that they are found again.
LABEL = "foretide.dev/profiled"
APPLY = "application/apply-patch+yaml"
# Kinds whose pods come from a template at spec.template.
KINDS = ("Deployment", "StatefulSet", "DaemonSet")


def with_sidecar(
    ref: ScaleTargetRef,
    template: PodFacts,
    container: str | None,
    *,
    order: Order,
    profiler: str,
    allow_ptrace: bool,
) -> Json | Refusal:
    """What to apply so that the template's pods have the sidecar."""
    if ref.kind not in KINDS:
        return Refusal(
            "NoTemplate",
            f"{ref.kind} is none of the kinds whose template Foretide changes: {', '.join(KINDS)}",
            "Leave allowRollout out: new pods get the sidecar when they are created",
        )
    found = routes.of_new_pod(template, container, allow_ptrace=allow_ptrace)
    if isinstance(found, Refusal):
        return found
    sidecar = containers.sidecar(template, found.target, found.accesses[0], order)
    return {
        **_head(ref, labels={LABEL: "true"}),
        "spec": {
            "template": {
                "metadata": {"annotations": {PROFILER: profiler}},
                "spec": {
                    "shareProcessNamespace": True,
                    "initContainers": [sidecar],
                    "volumes": [containers.orders_volume()],
                },
            }
        },
    }


def without_sidecar(ref: ScaleTargetRef) -> Json:
    """What to apply so that the template is as it was."""
    return _head(ref)


def profiler_of(template: Mapping[str, Any]) -> str:
    """The Profiler that has put its sidecar into a template; empty where none has."""
    return str(((template.get("metadata") or {}).get("annotations") or {}).get(PROFILER, ""))


def has_sidecar(template: Mapping[str, Any]) -> bool:
    """Whether the sidecar is in a template."""
    spec = template.get("spec") or {}
    return any(it["name"] == SIDECAR for it in spec.get("initContainers") or ())


def _head(ref: ScaleTargetRef, **meta: Json) -> Json:
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": {"name": ref.name, **meta},
    }
