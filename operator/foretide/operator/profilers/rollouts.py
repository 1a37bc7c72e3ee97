"""Brings the sidecar into a workload's template, and takes it back. See `rollout`."""

import hashlib
import logging
from typing import Any

from ..api.predictivescaler import ScaleTargetRef
from ..api.profiler import Capability, ProfilerSpec
from ..cluster import ClusterError
from . import rollout
from .containers import Order
from .door import Pods, to_json
from .facts import read_pod
from .member import Member
from .routes import Refusal

logger = logging.getLogger(__name__)


async def bring_in(pods: Pods, member: Member, spec: ProfilerSpec, order: Order) -> None:
    """Apply the sidecar to the target's template, if it is not there as it should be.

    Raises:
        ClusterError: it cannot be; the reason and the remedy are in it.
    """
    ref = spec.target_ref
    assert ref is not None
    workload = await pods.template(member.namespace, ref)
    template = (workload.get("spec") or {}).get("template") or {}
    as_pod = {
        "metadata": {**(template.get("metadata") or {}), "namespace": member.namespace},
        "spec": _without_ours(template.get("spec") or {}),
    }
    document = rollout.with_sidecar(
        ref,
        read_pod(as_pod, member.users),
        spec.container,
        order=order,
        profiler=member.name,
        allow_ptrace=spec.capability is Capability.SYS_PTRACE,
    )
    if isinstance(document, Refusal):
        raise ClusterError(document.reason, str(document))
    digest = hashlib.sha256(to_json(document).encode()).hexdigest()[:16]
    if digest == member.rolled_out and rollout.has_sidecar(template):
        return
    await pods.apply(member.namespace, ref, document, dry_run=True)
    await pods.apply(member.namespace, ref, document)
    member.rolled_out = digest
    logger.info("%s/%s: %s gets the sidecar", member.namespace, member.name, ref.name)


async def take_back(pods: Pods, member: Member) -> None:
    """Make the template what it was, if this Profiler has changed it."""
    ref = member.spec.target_ref if member.spec else None
    if ref is None or ref.kind not in rollout.KINDS:
        return
    try:
        workload = await pods.template(member.namespace, ref)
        template = (workload.get("spec") or {}).get("template") or {}
        if rollout.profiler_of(template) != member.name:
            return
        await give_back(pods, member.namespace, ref)
    except ClusterError as error:
        if error.status != 404:
            logger.warning("%s keeps its sidecar for now: %s", ref.name, error.message)
        return
    member.rolled_out = ""


async def give_back(pods: Pods, namespace: str, ref: ScaleTargetRef) -> None:
    """Make a workload's template what it was before Foretide.

    Raises:
        ClusterError: the API server refused.
    """
    await pods.apply(namespace, ref, rollout.without_sidecar(ref))
    logger.info("%s/%s has its own template again", namespace, ref.name)


def _without_ours(spec: dict[str, Any]) -> dict[str, Any]:
    """The template as its author wrote it: for the class of its pods our sidecar does not count."""
    others = [it for it in spec.get("initContainers") or () if it["name"] != rollout.SIDECAR]
    return {**spec, "initContainers": others}
