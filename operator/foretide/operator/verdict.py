"""Conditions from what a tick has found. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from foretide.forecasting.decision import Decision, Source

from . import conditions
from .api.predictivescaler import Mode
from .cluster import Target
from .conditions import Condition
from .forecasts import NOT_FITTED_YET


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Why a decision may or may not be acted on."""

    mode: Mode
    other_owner: str | None = None
    kill_switch: bool = False
    over_limit: bool = False
    failure: str | None = None


def without_decision(reason: str, message: str) -> list[Condition]:
    """Nothing could be decided: a bad spec, no target, no API server."""
    return [
        Condition(conditions.READY, False, reason, message),
        Condition(conditions.ACTIVE, False, reason, "nothing can be decided"),
    ]


def paused() -> list[Condition]:
    """The user asked for nothing to be done."""
    message = "mode is Paused: nothing is decided and nothing is changed"
    return [
        Condition(conditions.READY, True, "Paused", message),
        Condition(conditions.ACTIVE, False, "Paused", message),
    ]


def of_decision(
    decision: Decision, target: Target, circumstances: Circumstances
) -> list[Condition]:
    """All conditions of a resource for which a decision was made."""
    metrics = _metrics(decision)
    active = _active(decision, circumstances)
    return [
        _ready(metrics, circumstances),
        metrics,
        _forecast(decision),
        active,
        _limited(decision, target, circumstances),
        _conflict(circumstances),
    ]


def _ready(metrics: Condition, circumstances: Circumstances) -> Condition:
    if circumstances.other_owner and circumstances.mode is Mode.AUTO:
        return Condition(
            conditions.READY, False, "Conflict", _owned_message(circumstances.other_owner)
        )
    if circumstances.failure:
        return Condition(
            conditions.READY,
            False,
            "ScaleFailed",
            f"the target could not be changed: {circumstances.failure}",
        )
    if metrics.holds is False:
        return Condition(conditions.READY, False, metrics.reason, metrics.message)
    if circumstances.mode is Mode.RECOMMEND:
        return Condition(
            conditions.READY, True, "Recommending", "decides and reports, changes nothing"
        )
    return Condition(conditions.READY, True, "Scaling", "decides and changes replicas")


def _metrics(decision: Decision) -> Condition:
    missing = [answer for answer in decision.answers if answer.unavailable is not None]
    if not missing:
        return Condition(conditions.METRICS, True, "Available", "every metric has an answer")
    first = missing[0].unavailable
    assert first is not None
    message = "; ".join(
        f"{answer.name}: {answer.unavailable.message}" for answer in missing if answer.unavailable
    )
    return Condition(conditions.METRICS, False, first.reason, f"{message} (replicas will not fall)")


def _forecast(decision: Decision) -> Condition:
    lacking = [answer for answer in decision.answers if answer.untrusted is not None]
    if not lacking:
        return Condition(conditions.FORECAST, True, "Forecasting", "every metric has a forecast")
    first = lacking[0].untrusted
    assert first is not None
    if first.reason == NOT_FITTED_YET.reason:
        return Condition(conditions.FORECAST, None, first.reason, first.message)
    message = "; ".join(
        f"{answer.name}: {answer.untrusted.message}" for answer in lacking if answer.untrusted
    )
    return Condition(
        conditions.FORECAST, False, first.reason, f"{message} (scaling reactively meanwhile)"
    )


def _active(decision: Decision, circumstances: Circumstances) -> Condition:
    def no(reason: str, message: str) -> Condition:
        return Condition(conditions.ACTIVE, False, reason, message)

    if circumstances.mode is Mode.RECOMMEND:
        return no("Recommend", "mode is Recommend: set mode to Auto to let Foretide act")
    if circumstances.other_owner:
        return no("Conflict", _owned_message(circumstances.other_owner))
    if circumstances.kill_switch:
        return no("KillSwitch", "the administrator has switched all changes off")
    if circumstances.failure:
        return no("ScaleFailed", f"the target could not be changed: {circumstances.failure}")
    if decision.source is Source.DISABLED:
        return no("ScalingDisabled", "the target is scaled to 0")
    return Condition(conditions.ACTIVE, True, "Active", "Foretide changes the target's replicas")


def _limited(decision: Decision, target: Target, circumstances: Circumstances) -> Condition:
    if circumstances.over_limit:
        return Condition(
            conditions.LIMITED,
            True,
            "TooManyChanges",
            "the limit of changes per hour is reached; only reactive demand still adds replicas",
        )
    if target.unschedulable:
        return Condition(
            conditions.LIMITED,
            True,
            "NoRoomOnNodes",
            f"{target.unschedulable} pods wait because no node has room for them",
        )
    # Stabilisation is the normal course of scaling down, not a limit that somebody should know.
    limits = [clamp for clamp in decision.clamped_by if not clamp.endswith("Stabilized")]
    if limits:
        return Condition(
            conditions.LIMITED,
            True,
            limits[-1],
            f"{decision.proposed} wanted, {decision.desired} allowed",
        )
    return Condition(conditions.LIMITED, False, "WithinLimits", "nothing holds the decision back")


def _conflict(circumstances: Circumstances) -> Condition:
    if circumstances.other_owner is None:
        return Condition(conditions.CONFLICT, False, "SoleOwner", "nobody else scales the target")
    return Condition(
        conditions.CONFLICT, True, "OtherOwner", _owned_message(circumstances.other_owner)
    )


def _owned_message(owner: str) -> str:
    return f"the target is scaled by {owner}; remove one of the two"


def news(announced: dict[str, tuple[str, str]], current: Sequence[Condition]) -> list[Condition]:
    """The conditions that have become good or bad since they were last announced.

    A first appearance is news only when it is bad. What is returned is marked as announced.
    """
    changed = []
    for condition in current:
        before = announced.get(condition.type)
        after = (condition.status, condition.reason)
        if before == after or condition.holds is None:
            continue
        announced[condition.type] = after
        if condition.is_bad or (before is not None and before[0] != condition.status):
            changed.append(condition)
    return changed
