"""What the operator keeps in memory about one PredictiveScaler. All of it survives a restart:
it is in the resource, or can be rebuilt from Prometheus."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import Memory, ScalingPolicy

from .api.predictivescaler import Mode, PredictiveScalerSpec
from .api.status import PredictiveScalerStatus
from .conditions import FORECAST, parse_timestamp
from .owners import Claim
from .policies import to_policy
from .settings import explain


@dataclass(slots=True)
class Scaler:
    """One resource and what earlier ticks left behind.

    `spec` is None when the resource is not valid; `invalid` then says why. `status` is what was
    last written, `noticed` the part of it that decides whether to write again.
    """

    uid: str
    namespace: str
    name: str
    body: Mapping[str, Any]
    spec: PredictiveScalerSpec | None
    policy: ScalingPolicy | None
    invalid: str = ""
    generation: int | None = None
    status: dict[str, Any] = field(default_factory=dict)
    memory: Memory | None = None
    changes: tuple[Change, ...] = ()
    zero_since: dict[str, float] = field(default_factory=dict)
    noticed: tuple[Any, ...] | None = None
    written_at: float = 0.0
    announced: dict[str, tuple[str, str]] = field(default_factory=dict)
    recommended: int | None = None
    forecast_was_available: bool = False
    first_tick_at: float = 0.0

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Scaler":
        """Read a resource, its status included: that is all that a restart needs."""
        meta = body["metadata"]
        scaler = cls(
            uid=meta["uid"],
            namespace=meta["namespace"],
            name=meta["name"],
            body=body,
            spec=None,
            policy=None,
        )
        scaler.update(body)
        scaler._recall(body.get("status") or {})
        return scaler

    def update(self, body: Mapping[str, Any]) -> None:
        """Take over a new version of the resource; memory stays."""
        self.body = body
        self.generation = body["metadata"].get("generation")
        self.noticed = None
        try:
            self.spec = PredictiveScalerSpec.model_validate(body.get("spec") or {})
        except ValidationError as error:
            self.spec, self.policy, self.invalid = None, None, explain(error)
            return
        self.policy, self.invalid = to_policy(self.spec), ""

    @property
    def claim(self) -> Claim | None:
        """This resource's claim to its target."""
        if self.spec is None:
            return None
        created = str(self.body["metadata"].get("creationTimestamp", ""))
        return Claim(self.uid, self.name, created, self.spec.mode)

    @property
    def mode(self) -> Mode:
        """The mode; what cannot be read is never acted on."""
        return self.spec.mode if self.spec else Mode.PAUSED

    def _recall(self, status: Any) -> None:
        # A hand-edited status must not stop the resource from being looked after: what cannot be
        # read is left out, and written anew with the first decision.
        try:
            PredictiveScalerStatus.model_validate(status)
            self.status = dict(status)
        except ValidationError:
            self.status = {}
        with contextlib.suppress(*_UNREADABLE):
            self.changes = tuple(
                Change(parse_timestamp(past["time"]), int(past["before"]), int(past["after"]))
                for past in status.get("changes") or ()
            )
        with contextlib.suppress(*_UNREADABLE):
            self.zero_since = {
                metric["name"]: parse_timestamp(metric["zeroSince"])
                for metric in (status.get("decision") or {}).get("metrics") or ()
                if metric.get("zeroSince")
            }
        for condition in self.status.get("conditions") or ():
            if condition["type"] == FORECAST and condition["status"] == "True":
                self.forecast_was_available = True
            self.announced[condition["type"]] = (condition["status"], condition["reason"])


_UNREADABLE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
