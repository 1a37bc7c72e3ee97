"""`actuation: HPAFloor`: moves the minimum of the HPA or ScaledObject that scales a target.

`hpa_floor` says what to write; here it is read and written. A PredictiveScaler has no finalizer,
so it may be gone before anybody could act on it: `sweep` finds what was left behind.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import quote

from foretide.forecasting.behavior import Change
from foretide.forecasting.demand import Undecided

from .api.crds import GROUP, PLURAL, VERSION
from .cluster import Cluster, ClusterError, Guard, WriteConflict, listed
from .hpa_floor import (
    Autoscaled,
    Kind,
    Outcome,
    Plan,
    acts,
    plan_floor,
    plan_release,
    target_of,
)
from .owners import Autoscaler

logger = logging.getLogger(__name__)

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Holder:
    """Which object's minimum is moved."""

    kind: Kind
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """Where it is at the API server."""
        version, plural = self.kind.resource
        namespace, name = (quote(part, safe="") for part in (self.namespace, self.name))
        return f"/apis/{version}/namespaces/{namespace}/{plural}/{name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Floor:
    """How a minimum stands after it was seen to.

    `own` is the object's own minimum (None: not given), `minimum` the one in force, `before` the
    one that was found. `written` says whether it, or a mark of ours, was changed just now,
    `withheld` whether it would have been, had it been allowed to move.
    """

    holder: Holder
    outcome: Outcome
    minimum: int | None
    own: int | None
    maximum: int
    written: bool
    before: int | None = None
    withheld: bool = False

    def move(self, now: float) -> Change | None:
        """How the minimum was moved, None where it was not."""
        if not self.written or self.minimum == self.before:
            return None
        usual = self.holder.kind.usual_minimum
        was, now_is = (usual if it is None else it for it in (self.before, self.minimum))
        return Change(now, was, now_is)

    @property
    def message(self) -> str:
        """The same for people."""
        field = self.holder.kind.fields[0]
        own = "none" if self.own is None else str(self.own)
        if self.outcome is Outcome.HELD:
            limited = ", its maximum" if self.minimum == self.maximum else ""
            return f"{field} of {self.holder} is held at {self.minimum}{limited} (its own: {own})"
        if self.outcome is Outcome.YIELDED:
            return (
                f"{field} of {self.holder} is left at {own} for some minutes: something keeps "
                f"setting it back; tell the tool that manages it to ignore spec.{field}"
            )
        return f"{field} of {self.holder} is its own: {own}"


def holder_of(namespace: str, autoscalers: Iterable[Autoscaler]) -> Holder | Undecided:
    """Whose minimum to move, of all that scale a target.

    A ScaledObject comes with an HPA that KEDA makes of it; it is the ScaledObject that counts.
    """
    found: dict[Kind, list[str]] = {kind: [] for kind in Kind}
    for autoscaler in autoscalers:
        kind, _, name = autoscaler.name.partition(" ")
        found[Kind(kind)].append(name)
    names = found[Kind.SCALED_OBJECT] or found[Kind.HPA]
    kind = Kind.SCALED_OBJECT if found[Kind.SCALED_OBJECT] else Kind.HPA
    if not names:
        return Undecided(
            "NoAutoscaler",
            "actuation is HPAFloor, but no HorizontalPodAutoscaler or ScaledObject scales the "
            "target: create one, or set actuation to Replicas",
        )
    if len(names) > 1:
        return Undecided(
            "SeveralAutoscalers",
            f"the target has several of kind {kind}: {', '.join(sorted(names))}; leave one",
        )
    return Holder(kind, namespace, names[0])


async def set_floor(
    cluster: Cluster,
    holder: Holder,
    floor: int,
    *,
    owner_uid: str,
    guard: Guard,
    now: float,
    may_move: bool = True,
) -> Floor:
    """Hold the minimum at `floor` where that is more than its own, for the PredictiveScaler.

    With a smaller one the object gets its own minimum back. An HPA that KEDA has made is left
    alone, and its ScaledObject moved instead. One GET, and a PATCH when something changes. Without
    `may_move` the minimum stays as it is found, ours or its own.

    Raises:
        ClusterError: the API server refused, could not be reached, or `guard` forbids the change.
        WriteConflict: the object keeps changing.
    """
    for _ in range(_ATTEMPTS):
        holder, seen = await _read(cluster, holder)
        plan = plan_floor(seen, floor, owner=owner_uid, now=now)
        if plan.minimum != seen.minimum and not may_move:
            outcome = Outcome.UNNEEDED if seen.minimum == plan.own else Outcome.HELD
            return _floor(holder, seen, replace(plan, outcome=outcome), withheld=True)
        if await _write(cluster, holder, seen, plan, guard):
            return _floor(holder, seen, plan)
    raise _keeps_changing(holder)


async def release(cluster: Cluster, holder: Holder, *, owner_uid: str, guard: Guard) -> bool:
    """Give the object its own minimum back, if this PredictiveScaler holds it. Whether it did.

    An object that is gone holds nothing.

    Raises:
        ClusterError: as `set_floor`.
    """
    for _ in range(_ATTEMPTS):
        try:
            holder, seen = await _read(cluster, holder)
        except ClusterError as error:
            if error.status == 404:
                return False
            raise
        if not owner_uid or seen.owner != owner_uid:
            return False
        if await _write(cluster, holder, seen, plan_release(seen), guard):
            return True
    raise _keeps_changing(holder)


async def sweep(cluster: Cluster, namespaces: Iterable[str], *, guard: Guard) -> list[str]:
    """Release what no PredictiveScaler holds any more; returns what was, for people to read.

    Its owner may be deleted, paused, in mode Recommend, without `actuation: HPAFloor`, or on
    another target by now; where the CRD is gone, all are. Namespaces empty means all of them.

    Raises:
        ClusterError: the API server does not say what there is; nothing is released then.
    """
    if not guard():
        return []
    spaces = tuple(namespaces)
    # What is held comes first: an owner that is created meanwhile is then among the owners.
    held = [
        (Holder(kind, body["metadata"]["namespace"], seen.name), seen)
        for kind in Kind
        async for body in listed(cluster, *kind.resource, spaces)
        # KEDA copies a ScaledObject's annotations to the HPA that it makes of it.
        if (seen := Autoscaled.from_body(kind, body)).owner and seen.keda is None
    ]
    if not held:
        return []
    owners = {
        body["metadata"]["uid"]: target_of(body)
        async for body in listed(cluster, f"{GROUP}/{VERSION}", PLURAL, spaces)
        if acts(body)
    }
    released = []
    for holder, seen in held:
        if owners.get(seen.owner) == seen.target:
            continue
        try:
            if await release(cluster, holder, owner_uid=seen.owner, guard=guard):
                released.append(f"{holder.namespace}/{holder.name}")
        except ClusterError as error:  # the others need not wait for this one
            logger.warning("%s/%s is not released: %s", holder.namespace, holder, error.message)
    return released


def _floor(holder: Holder, seen: Autoscaled, plan: Plan, *, withheld: bool = False) -> Floor:
    return Floor(
        holder,
        plan.outcome,
        seen.minimum if withheld else plan.minimum,
        plan.own,
        seen.maximum,
        written=plan.patch is not None and not withheld,
        before=seen.minimum,
        withheld=withheld,
    )


async def _read(cluster: Cluster, holder: Holder) -> tuple[Holder, Autoscaled]:
    body = await cluster.request("GET", holder.path)
    seen = Autoscaled.from_body(holder.kind, body)
    if seen.keda is None:
        return holder, seen
    made_from = Holder(Kind.SCALED_OBJECT, holder.namespace, seen.keda)
    body = await cluster.request("GET", made_from.path)
    return made_from, Autoscaled.from_body(Kind.SCALED_OBJECT, body)


async def _write(
    cluster: Cluster, holder: Holder, seen: Autoscaled, plan: Plan, guard: Guard
) -> bool:
    """Whether the object is as planned; False when it has changed since it was read."""
    if plan.patch is None:
        return True
    if not guard():
        raise ClusterError("NoLongerAllowed", "what allowed the change has ended meanwhile")
    metadata = {"resourceVersion": seen.resource_version, **plan.patch.get("metadata", {})}
    try:
        await cluster.request(
            "PATCH",
            holder.path,
            {**plan.patch, "metadata": metadata},
            content_type="application/merge-patch+json",
        )
    except ClusterError as error:
        if error.status == 409:
            return False
        raise
    return True


def _keeps_changing(holder: Holder) -> WriteConflict:
    return WriteConflict("Conflict", f"{holder} keeps changing, trying again later", 409)
