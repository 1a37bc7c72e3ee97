"""Who else scales a target: an HPA, a KEDA ScaledObject, another PredictiveScaler."""

from collections.abc import Iterable
from dataclasses import dataclass

from .api.predictivescaler import Mode, ScaleTargetRef

TargetKey = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """An HPA or a ScaledObject; `name` has its kind in it, as people read it."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A PredictiveScaler's claim to a target. Times are RFC 3339, so they sort as text."""

    uid: str
    name: str
    created: str
    mode: Mode

    @property
    def seniority(self) -> tuple[str, str]:
        """Who came first; the name decides between two of the same second."""
        return self.created, self.name


def target_key(namespace: str, ref: ScaleTargetRef) -> TargetKey:
    """What identifies a target. The version does not: two versions are the same object."""
    return namespace, ref.group, ref.kind, ref.name


def other_owner(claim: Claim, autoscalers: Iterable[str], rivals: Iterable[Claim]) -> str | None:
    """The name of somebody else who scales this claim's target, None when nobody does.

    Of several PredictiveScalers in `Auto` the oldest keeps the target: adding a second one by
    mistake must not stop the first. Those that only recommend own nothing.
    """
    for autoscaler in sorted(autoscalers):
        return autoscaler
    acting = [rival for rival in rivals if rival.mode is Mode.AUTO and rival.uid != claim.uid]
    if claim.mode is Mode.AUTO:
        acting = [rival for rival in acting if rival.seniority < claim.seniority]
    oldest = min(acting, key=lambda rival: rival.seniority, default=None)
    return f"PredictiveScaler {oldest.name}" if oldest else None
