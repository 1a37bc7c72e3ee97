"""What to write on an HPA, or on KEDA's ScaledObject, to hold its minimum up. Pure.

All that is remembered of it stands in annotations on that object: what its own minimum is, what we
have set instead, and for whom. So it can be given back whoever has forgotten what meanwhile.

Somebody else may change the minimum at any time. Ours is then over, and theirs is the object's own
from then on. A tool that keeps setting it back (GitOps) is given way to for some minutes.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .api.predictivescaler import OBJECT_NAME, ScaleTargetRef
from .conditions import parse_timestamp, timestamp
from .owners import Autoscaler, TargetKey, target_key

ORIGINAL = "foretide.dev/original-min-replicas"
FLOOR = "foretide.dev/floor"
OWNER = "foretide.dev/floor-owner"
YIELDS_UNTIL = "foretide.dev/floor-yields-until"

# Seconds. One correction is somebody's `kubectl apply`; a second one soon after it is a tool.
YIELD_FOR = 600.0
REPEATED_WITHIN = 1_800.0

_ABSENT = "none"


class Kind(StrEnum):
    """Whose minimum is moved."""

    HPA = "HorizontalPodAutoscaler"
    SCALED_OBJECT = "ScaledObject"

    @property
    def resource(self) -> tuple[str, str]:
        """API version and plural."""
        if self is Kind.HPA:
            return "autoscaling/v2", "horizontalpodautoscalers"
        return "keda.sh/v1alpha1", "scaledobjects"

    @property
    def usual_minimum(self) -> int:
        """The minimum where none is given."""
        return 1 if self is Kind.HPA else 0

    @property
    def fields(self) -> tuple[str, str]:
        """What the minimum and the maximum are called in its spec."""
        return (
            ("minReplicas", "maxReplicas")
            if self is Kind.HPA
            else ("minReplicaCount", "maxReplicaCount")
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """A minimum that we hold up: the object's own (None: not given), and ours."""

    original: int | None
    floor: int


@dataclass(frozen=True, slots=True)
class Autoscaled:
    """An HPA or a ScaledObject as it is now.

    `minimum` is None where it is not given. `keda` names the ScaledObject that this HPA is made
    from: KEDA takes back what is changed on such an HPA.
    """

    kind: Kind
    name: str
    minimum: int | None
    maximum: int
    annotations: Mapping[str, str]
    target: TargetKey
    resource_version: str
    keda: str | None = None

    @classmethod
    def from_body(cls, kind: Kind, body: Mapping[str, Any]) -> "Autoscaled":
        """What the API server answers, read."""
        meta, spec = body["metadata"], body.get("spec") or {}
        least, most = kind.fields
        reference = {"apiVersion": "apps/v1", "kind": "Deployment"} | dict(
            spec.get("scaleTargetRef") or {}
        )
        group = str(reference["apiVersion"]).rpartition("/")[0]
        return cls(
            kind=kind,
            name=meta["name"],
            minimum=spec.get(least),
            maximum=spec.get(most, 100),  # KEDA's default; an HPA always has one
            annotations=meta.get("annotations") or {},
            target=(
                meta.get("namespace", ""),
                group,
                str(reference["kind"]),
                str(reference.get("name", "")),
            ),
            resource_version=meta["resourceVersion"],
            keda=_keda_owner(meta) if kind is Kind.HPA else None,
        )

    @property
    def owner(self) -> str:
        """The uid of the PredictiveScaler that has left its marks here; empty without any."""
        return self.annotations.get(OWNER, "")

    @property
    def hold(self) -> Hold | None:
        """What is held, None when nothing is or when it cannot be read any more."""
        original, floor = self.annotations.get(ORIGINAL, ""), self.annotations.get(FLOOR, "")
        if not floor.isdecimal() or not (original.isdecimal() or original == _ABSENT):
            return None
        return Hold(None if original == _ABSENT else int(original), int(floor))

    @property
    def yields_until(self) -> float:
        """Until when somebody else's minimum is left alone (Unix seconds); 0 without such a mark.

        A mark that has passed still says that it was needed.
        """
        with contextlib.suppress(OverflowError, TypeError, ValueError):
            return parse_timestamp(self.annotations.get(YIELDS_UNTIL, ""))
        return 0.0


def scaled_by(kind: Kind, body: Mapping[str, Any]) -> tuple[TargetKey, Autoscaler]:
    """The target of an HPA or a ScaledObject, and who scales it."""
    seen = Autoscaled.from_body(kind, body)
    return seen.target, Autoscaler(f"{kind} {seen.name}", body["metadata"]["uid"])


class Outcome(StrEnum):
    """What has come of a wish to hold a minimum up."""

    HELD = "Held"
    UNNEEDED = "Unneeded"
    YIELDED = "Yielded"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write. `patch` is a merge patch, None when all is as it should be.

    `minimum` is the object's minimum afterwards, `own` what it would be without us.
    """

    outcome: Outcome
    minimum: int | None
    own: int | None
    patch: Mapping[str, Any] | None


def plan_floor(seen: Autoscaled, floor: int, *, owner: str, now: float) -> Plan:
    """Hold the minimum at `floor`, if that is above the object's own, never above its maximum.

    A minimum of zero is raised for two replicas or more only: KEDA and HPA keep one anyway while
    there is anything to do, and holding that one would end their scaling to zero for ever.
    """
    own, marks = _own_minimum(seen), {OWNER: owner}
    yields_until = seen.yields_until
    if seen.hold is not None and (seen.minimum or 0) < seen.hold.floor:
        repeated = now - yields_until < REPEATED_WITHIN
        yields_until = now + YIELD_FOR if repeated else now
    if now - yields_until < REPEATED_WITHIN:
        marks[YIELDS_UNTIL] = timestamp(yields_until)
    wanted = min(floor, seen.maximum)
    if now < yields_until or wanted <= max(own or 0, 1):
        outcome = Outcome.YIELDED if now < yields_until else Outcome.UNNEEDED
        return _plan(seen, outcome, own, own, marks if YIELDS_UNTIL in marks else {})
    marks |= {ORIGINAL: _ABSENT if own is None else str(own), FLOOR: str(wanted)}
    return _plan(seen, Outcome.HELD, wanted, own, marks)


def plan_release(seen: Autoscaled) -> Plan:
    """Give the object its own minimum back, and leave no mark of ours."""
    own = _own_minimum(seen)
    return _plan(seen, Outcome.UNNEEDED, own, own, {})


def acts(scaler: Mapping[str, Any]) -> bool:
    """Whether a PredictiveScaler, as the API server answers it, holds a minimum up right now."""
    spec = scaler.get("spec") or {}
    return spec.get("mode") == "Auto" and spec.get("actuation") == "HPAFloor"


def target_of(scaler: Mapping[str, Any]) -> TargetKey | None:
    """What a PredictiveScaler scales, None when its spec does not say."""
    with contextlib.suppress(KeyError, TypeError, ValueError):
        reference = ScaleTargetRef.model_validate(scaler["spec"]["scaleTargetRef"])
        return target_key(scaler["metadata"]["namespace"], reference)
    return None


def _own_minimum(seen: Autoscaled) -> int | None:
    """The minimum that the object has without us: what anybody else set last."""
    hold = seen.hold
    if hold is None or seen.minimum != hold.floor:
        return seen.minimum
    return hold.original if hold.original is None else min(hold.original, seen.maximum)


def _plan(
    seen: Autoscaled,
    outcome: Outcome,
    minimum: int | None,
    own: int | None,
    marks: Mapping[str, str],
) -> Plan:
    """The patch that leaves exactly this minimum and these marks."""
    every = (ORIGINAL, FLOOR, OWNER, YIELDS_UNTIL)
    changed = {key: marks.get(key) for key in every if marks.get(key) != seen.annotations.get(key)}
    patch: dict[str, Any] = {}
    if changed:
        patch["metadata"] = {"annotations": changed}
    if minimum != seen.minimum:
        patch["spec"] = {seen.kind.fields[0]: minimum}
    return Plan(outcome, minimum, own, patch or None)


def _keda_owner(meta: Mapping[str, Any]) -> str | None:
    """The ScaledObject that an HPA is made from. Anybody may write anything there: only a name."""
    names = [
        reference.get("name")
        for reference in meta.get("ownerReferences") or ()
        if str(reference.get("apiVersion", "")).startswith("keda.sh/")
        and reference.get("kind") == Kind.SCALED_OBJECT
    ]
    names.append((meta.get("labels") or {}).get("scaledobject.keda.sh/name"))
    return next((str(name) for name in names if re.fullmatch(OBJECT_NAME, str(name or ""))), None)
