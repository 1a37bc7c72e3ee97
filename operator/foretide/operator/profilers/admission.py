"""What the webhook answers when a pod is created. Pure: AdmissionReview in, AdmissionReview out.

It never refuses a pod. What keeps a sidecar out is a warning, which `kubectl` shows, and stands in
the Profiler's condition.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import containers, routes
from .containers import Order
from .facts import PodFacts, read_pod
from .routes import Refusal

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Injection:
    """What a Profiler asks for in new pods: those whose labels are `selector`."""

    profiler: str
    namespace: str
    selector: Mapping[str, str]
    container: str | None
    allow_ptrace: bool
    order: Order
    users: Mapping[str, str]

    def wants(self, pod: PodFacts) -> bool:
        """Whether the pod is one of those."""
        return (
            pod.namespace == self.namespace
            and bool(self.selector)
            and self.selector.items() <= pod.labels.items()
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The review that goes back, and for the Profiler's status what came of it."""

    review: Json
    namespace: str = ""
    profiler: str = ""
    refusal: Refusal | None = None


def answer(asked: Mapping[str, Any], injections: Sequence[Injection]) -> Answer:
    """Answer an AdmissionReview of admission.k8s.io/v1 for a pod.

    Raises:
        KeyError: it is no such review.
    """
    request = asked["request"]
    uid, pod = request["uid"], request["object"]
    facts_of = {**pod, "metadata": {**pod["metadata"], "namespace": request["namespace"]}}
    for injection in injections:
        facts = read_pod(facts_of, injection.users)
        if not injection.wants(facts) or facts.sidecar is not None:
            continue
        patch = inject(pod, facts, injection)
        if isinstance(patch, Refusal):
            warning = f"foretide: not profiled by {injection.profiler}: {patch}"
            review = _review(uid, warnings=[warning[:250]])
            return Answer(review, injection.namespace, injection.profiler, patch)
        return Answer(_review(uid, patch=patch), injection.namespace, injection.profiler)
    return Answer(_review(uid))


def inject(pod: Mapping[str, Any], facts: PodFacts, injection: Injection) -> list[Json] | Refusal:
    """A JSON patch that gives a new pod the sidecar."""
    found = routes.of_new_pod(facts, injection.container, allow_ptrace=injection.allow_ptrace)
    if isinstance(found, Refusal):
        return found
    if pod["spec"].get("shareProcessNamespace") is False:
        return Refusal(
            "ProcessesNotShared",
            "the pod says shareProcessNamespace: false, and a sidecar sees the application only "
            "in a shared one",
            "Leave the field out, or use mode Once, which does not need it",
        )
    container = containers.sidecar(facts, found.target, found.accesses[0], injection.order)
    patch: list[Json] = [
        {"op": "add", "path": "/spec/shareProcessNamespace", "value": True},
        *_append(pod["spec"], "/spec", "initContainers", container),
        *_append(pod["spec"], "/spec", "volumes", containers.orders_volume()),
    ]
    if pod["metadata"].get("annotations") is None:
        patch.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    key = containers.PROFILER.replace("~", "~0").replace("/", "~1")
    patch.append({"op": "add", "path": f"/metadata/annotations/{key}", "value": injection.profiler})
    return patch


def _append(spec: Mapping[str, Any], path: str, name: str, item: Json) -> list[Json]:
    if spec.get(name):
        return [{"op": "add", "path": f"{path}/{name}/-", "value": item}]
    return [{"op": "add", "path": f"{path}/{name}", "value": [item]}]


def _review(uid: str, *, patch: list[Json] | None = None, warnings: Sequence[str] = ()) -> Json:
    response: Json = {"uid": uid, "allowed": True}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
    if warnings:
        response["warnings"] = list(warnings)
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    }
