"""Conditions from what a tick has found. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from foretide.forecasting.decision import Decision, Source
from foretide.forecasting.demand import Undecided
from foretide.forecasting.slo import SloPhase

from . import conditions
from .api.predictivescaler import Actuation, Mode
from .cluster import Target
from .conditions import ROUTINE, UNREMARKABLE, Condition
from .forecasts import NOT_FITTED_YET
from .hpa import Floor
from .hpa_floor import Outcome
from .report import EventsReport, MetricReport
from .rollups import StoreState

# A forecast that is there, and may not act.
NOT_TRUSTED = frozenset({"Distrusted", "NoBetterThanReactive"})
# Metrics that are not forecast because nobody asked for it.
_NOT_FORECAST = UNREMARKABLE - NOT_TRUSTED
# The normal course of scaling down, and of pods that start: no limit that somebody should know.
_NORMAL = frozenset(
    {
        "ScaleUpStabilized",
        "ScaleDownStabilized",
        SloPhase.STEPPED,
        SloPhase.OBSERVING,
        "PodsWithoutFigure",
    }
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Why a decision may or may not be acted on, and what is known beside it.

    `floor` is how the minimum of the target's autoscaler stands where `actuation` is HPAFloor, or
    why there is none to move; None while it was not looked at. `events` and `store` are None where
    there is nothing to tell of them. `metrics` has the order of the decision's answers.
    """

    mode: Mode
    other_owner: str | None = None
    kill_switch: bool = False
    over_limit: bool = False
    failure: str | None = None
    actuation: Actuation = Actuation.REPLICAS
    floor: Floor | Undecided | None = None
    events: EventsReport | None = None
    store: StoreState | None = None
    metrics: Sequence[MetricReport] = ()


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
    metrics, active = _metrics(decision), _active(decision, circumstances)
    found = [
        _ready(metrics, active, circumstances),
        metrics,
        _forecast(decision, circumstances.metrics),
        _trusted(decision),
        active,
        _limited(decision, target, circumstances),
        _conflict(circumstances),
        _events(decision, circumstances),
        _store(decision, circumstances),
    ]
    return [condition for condition in found if condition is not None]


def _ready(metrics: Condition, active: Condition, circumstances: Circumstances) -> Condition:
    def no(reason: str, message: str) -> Condition:
        return Condition(conditions.READY, False, reason, message)

    if circumstances.other_owner and circumstances.mode is Mode.AUTO:
        return no("Conflict", _owned_message(circumstances.other_owner))
    if isinstance(circumstances.floor, Undecided):
        return no(circumstances.floor.reason, circumstances.floor.message)
    if circumstances.failure:
        return no("ScaleFailed", f"the target could not be changed: {circumstances.failure}")
    if metrics.holds is False:
        return no(metrics.reason, metrics.message)
    if circumstances.mode is Mode.RECOMMEND:
        return Condition(
            conditions.READY, True, "Recommending", "decides and reports, changes nothing"
        )
    if active.holds is False:  # somebody wants it so: no fault, but scaling it is not
        message = f"decides and reports, changes nothing: {active.message}"
        return Condition(conditions.READY, True, active.reason, message)
    return Condition(conditions.READY, True, "Scaling", f"decides and {_does(circumstances)}")


def _metrics(decision: Decision) -> Condition:
    missing = [
        (answer.name, answer.unavailable) for answer in decision.answers if answer.unavailable
    ]
    if not missing:
        return Condition(conditions.METRICS, True, "Available", "every metric has an answer")
    message = "; ".join(f"{name}: {problem.message}" for name, problem in missing)
    return Condition(
        conditions.METRICS, False, missing[0][1].reason, f"{message} (replicas will not fall)"
    )


def _forecast(decision: Decision, metrics: Sequence[MetricReport]) -> Condition:
    """Whether there is a forecast for every metric that is to have one."""
    failed = _failing(decision, metrics)
    reasons = [(answer.name, answer.untrusted) for answer in decision.answers if answer.untrusted]
    lacking = [(name, why) for name, why in reasons if why.reason not in NOT_TRUSTED]
    if all(why.reason in _NOT_FORECAST for _, why in lacking) and len(lacking) < len(
        decision.answers
    ):
        message = "every metric that can be has a forecast"
        if failed:
            return Condition(conditions.FORECAST, True, "RefitFailed", f"{message}; {failed}")
        return Condition(conditions.FORECAST, True, "Forecasting", message)
    # Of a metric that is not to have one nothing is told while another one lacks what it should.
    told = [(name, why) for name, why in lacking if why.reason not in _NOT_FORECAST] or lacking
    first = told[0][1]
    if first.reason == NOT_FITTED_YET.reason:
        return Condition(conditions.FORECAST, None, first.reason, first.message)
    message = _each(told) + " (scaling reactively meanwhile)"
    if failed:
        message += f"; {failed}"
    return Condition(conditions.FORECAST, False, first.reason, message)


def _failing(decision: Decision, metrics: Sequence[MetricReport]) -> str:
    """Why fits fail, where that is not told as the reason for no forecast.

    While an older forecast serves nothing else would say so.
    """
    told = {answer.name: answer.untrusted for answer in decision.answers}
    failures = [
        (name, failure)
        for name, failure in _troubles(decision, metrics, lambda report: report.failure)
        if failure.reason not in _NOT_FORECAST and failure != told[name]
    ]
    return f"fitting fails: {_each(failures)}" if failures else ""


def _troubles(
    decision: Decision,
    metrics: Sequence[MetricReport],
    trouble: Callable[[MetricReport], Undecided | None],
) -> list[tuple[str, Undecided]]:
    """One kind of trouble of each metric that has it, by the metric's name."""
    return [
        (answer.name, found)
        for answer, report in zip(decision.answers, metrics, strict=False)
        if (found := trouble(report)) is not None
    ]


def _each(problems: Iterable[tuple[str, Undecided]]) -> str:
    """What is the matter with each of the metrics named."""
    return "; ".join(f"{name}: {problem.message}" for name, problem in problems)


def _trusted(decision: Decision) -> Condition:
    """Whether the forecasts that there are may act."""
    reasons = [(answer.name, answer.untrusted) for answer in decision.answers if answer.untrusted]
    doubted = [(name, why) for name, why in reasons if why.reason in NOT_TRUSTED]
    if doubted:
        message = _each(doubted) + " (scaling as HPA meanwhile)"
        return Condition(conditions.TRUSTED, False, doubted[0][1].reason, message)
    if len(reasons) == len(decision.answers):
        return Condition(conditions.TRUSTED, None, "NoForecast", "there is no forecast to judge")
    return Condition(
        conditions.TRUSTED, True, "Trusted", "the forecast has lately done no worse than HPA would"
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
    floor = circumstances.floor
    if isinstance(floor, Undecided):
        return no(floor.reason, floor.message)
    if circumstances.failure:
        return no("ScaleFailed", f"the target could not be changed: {circumstances.failure}")
    if decision.source is Source.DISABLED:
        return no("ScalingDisabled", "the target is scaled to 0")
    if floor is not None:
        holds = floor.outcome is not Outcome.YIELDED
        return Condition(conditions.ACTIVE, holds, f"Floor{floor.outcome}", floor.message)
    return Condition(conditions.ACTIVE, True, "Active", f"Foretide {_does(circumstances)}")


def _limited(decision: Decision, target: Target, circumstances: Circumstances) -> Condition:
    def yes(reason: str, message: str) -> Condition:
        return Condition(conditions.LIMITED, True, reason, message)

    if circumstances.over_limit:
        return yes(
            "TooManyChanges",
            "the limit of changes per hour is reached; only reactive demand still adds replicas",
        )
    if target.unschedulable:
        return yes(
            "NoRoomOnNodes",
            f"{target.unschedulable} pods wait because no node has room for them",
        )
    holds = [(answer.name, answer.hold) for answer in decision.answers if answer.hold]
    for name, hold in holds:
        if hold.reason not in _NORMAL:
            return yes(hold.reason, f"{name}: {hold.message}")
    limits = [clamp for clamp in decision.clamped_by if clamp not in _NORMAL]
    if limits:
        return yes(limits[-1], _clamped(limits[-1], decision))
    return Condition(conditions.LIMITED, False, "WithinLimits", "nothing holds the decision back")


def _clamped(clamp: str, decision: Decision) -> str:
    """A clamp with its figures, and with the reason where it is the guard's or the SLO's."""
    wanted, guard, slo = decision.proposed, decision.guard, decision.slo
    why = ""
    if guard is not None and guard.by is not None:
        asked = None if decision.metric is None else decision.answers[decision.metric].wanted
        wanted = wanted if asked is None else asked
        why = guard.message if clamp == guard.by else ""
    if slo is not None and clamp == slo.phase:
        why = slo.message
    figures = f"{wanted} wanted, {decision.desired} allowed"
    return f"{figures}: {why}" if why else figures


def _conflict(circumstances: Circumstances) -> Condition:
    owner = circumstances.other_owner
    if owner is not None and circumstances.mode is Mode.RECOMMEND:
        # Who only looks on is in nobody's way: this is how everybody begins who has an autoscaler.
        message = f"the target is scaled by {owner}, and Foretide only recommends: before mode Auto"
        return Condition(conditions.CONFLICT, False, "OwnerBeside", f"{message}, {_remedy(owner)}")
    if owner is not None:
        return Condition(conditions.CONFLICT, True, "OtherOwner", _owned_message(owner))
    message = "nobody else scales the target"
    if circumstances.actuation is Actuation.HPA_FLOOR:
        message = "no other PredictiveScaler acts on the target"
    return Condition(conditions.CONFLICT, False, "SoleOwner", message)


def _events(decision: Decision, circumstances: Circumstances) -> Condition | None:
    """Whether all events could be read, and what they do could be learned."""
    events = circumstances.events
    if events is None:
        return None
    told, reason = [], "LearningFailed"
    if events.problems:
        told.append("; ".join(events.problems) + " (the others count all the same)")
        reason = "EventProblems"
    unlearned = _troubles(decision, circumstances.metrics, lambda report: report.unlearned)
    if unlearned:
        told.append(
            f"what events do could not be learned by the last fit: {_each(unlearned)} "
            "(what is declared or was learned before counts all the same)"
        )
    if told:
        return Condition(conditions.EVENTS, False, reason, "; ".join(told))
    if not events.ahead:
        message = "no event is known for the next two weeks"
        return Condition(conditions.EVENTS, True, "NoneAhead", message)
    names = ", ".join(event.name for event in events.ahead)
    return Condition(conditions.EVENTS, True, "Known", f"known for the next two weeks: {names}")


def _store(decision: Decision, circumstances: Circumstances) -> Condition | None:
    """Whether the store takes roll-ups, and gives fits what it has."""
    store = circumstances.store
    if store is None or store.reason == "NotConfigured":
        return None
    reason, message = store.reason, store.message
    troubles = _troubles(decision, circumstances.metrics, lambda report: report.store_trouble)
    if troubles:
        message += f"; the last fit did without it: {_each(troubles)}"
        reason = "FitWithoutStore" if reason == "Reachable" else reason
    if reason == "Reachable":
        return Condition(conditions.STORE, True, reason, message)
    message += " (scaling goes on by what Prometheus has)"
    return Condition(conditions.STORE, False, reason, message)


def _does(circumstances: Circumstances) -> str:
    if circumstances.actuation is Actuation.HPA_FLOOR:
        return "holds up the minimum of the target's autoscaler where more is to come"
    return "changes the target's replicas"


def _owned_message(owner: str) -> str:
    return f"the target is scaled by {owner}: {_remedy(owner)}"


def _remedy(owner: str) -> str:
    """What to do about somebody else who scales the target."""
    if owner.startswith("PredictiveScaler "):
        return "remove one of the two"
    return "remove one of the two, or set actuation: HPAFloor to leave it in charge"


def news(announced: dict[str, tuple[str, str]], current: Sequence[Condition]) -> list[Condition]:
    """The conditions that have become good or bad since they were last announced.

    A first appearance is news only when it is bad, and what is routine never is. What is returned
    is marked as announced.
    """
    changed = []
    for condition in current:
        before = announced.get(condition.type)
        after = (condition.status, condition.reason)
        if before == after or condition.holds is None or condition.reason in ROUTINE:
            continue
        announced[condition.type] = after
        if condition.is_bad or (before is not None and before[0] != condition.status):
            changed.append(condition)
    return changed
