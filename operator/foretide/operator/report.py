"""What a tick has found, as status and conditions are built from it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import Decision, Memory, ScalingPolicy
from foretide.forecasting.demand import Undecided
from foretide.forecasting.events.effects import LearnedEffects
from foretide.forecasting.events.model import Event
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.lead_time import LeadTime, StartHistory
from foretide.forecasting.lookahead.model import LookaheadModel
from foretide.forecasting.lookahead.plan import Plan
from foretide.forecasting.shadow import Shadow
from foretide.forecasting.trust import TrustMeter

from .api.event_status import MOST_AHEAD, MOST_PROBLEMS
from .calendars import CalendarView
from .cluster import Target

DAY = 86_400.0
# How far ahead people want to know of an event, in seconds.
AHEAD = 14 * DAY
_NOTHING_LEARNED = LearnedEffects()


@dataclass(frozen=True, slots=True)
class MetricReport:
    """What is known of one metric beside its answer.

    `horizon` is the forecast of the hours ahead, `lookahead` the model that scaling acts on, with
    the `plan` in use, or why there is none; `excluded` counts the stretches of history that were
    kept out of the fit. `failure` is what the last fit could not make, or why none can be made,
    `store_trouble` why it could not use the store, `unlearned` why it could not learn what events
    do. Each is None where there is no such thing. `trust` is the meter as it stands after this
    tick; `zero_since` and `drop_since` are Unix seconds.
    """

    horizon: Forecast | None = None
    lookahead: LookaheadModel | None = None
    plan: Plan | Undecided | None = None
    excluded: int = 0
    failure: Undecided | None = None
    store_trouble: Undecided | None = None
    unlearned: Undecided | None = None
    trust: TrustMeter | None = None
    zero_since: float | None = None
    drop_since: float | None = None


@dataclass(frozen=True, slots=True)
class LeadReport:
    """The lead time, of which `seconds` are in force, and the start-ups that it comes from."""

    lead: LeadTime
    seconds: float
    history: StartHistory


@dataclass(frozen=True, slots=True)
class EventAhead:
    """An event that goes on or is to come; `expected` says what it does to demand, and why."""

    name: str
    start: float
    end: float
    expected: str


@dataclass(frozen=True, slots=True)
class EventsReport:
    """What is known to come, and what cannot be used of it, in sentences for people."""

    ahead: tuple[EventAhead, ...] = ()
    problems: tuple[str, ...] = ()


NO_EVENTS = EventsReport()


@dataclass(frozen=True, slots=True)
class TickReport:
    """Everything that a tick with a decision has to tell.

    `target` is as it was left, `policy` the one that decided (`Scaler.policy_now`), `memory` the
    one after the decision. `metrics` has the order of the policy's. `changes` are those of
    replicas, `floor_changes` those of an autoscaler's minimum in the last hour. `event_names` are
    those within the lead time (`EventOutlook.names`). `slo_value` is the SLO's reading, None when
    it could not be had; `shadow` None outside of Recommend, `lead` None where pods are not looked
    at.
    """

    now: float
    target: Target
    policy: ScalingPolicy
    decision: Decision
    memory: Memory
    metrics: Sequence[MetricReport]
    changes: Sequence[Change] = ()
    floor_changes: Sequence[Change] = ()
    lead: LeadReport | None = None
    events: EventsReport | None = None
    event_names: Sequence[str] = ()
    slo_value: float | None = None
    shadow: Shadow | None = None


def events_report(
    view: CalendarView, effects: Iterable[LearnedEffects], now: float
) -> EventsReport:
    """The events of the next two weeks, of each name the first, and what is known of them.

    `effects` are those of the metrics; the first that knows an event is asked.
    """
    learned = tuple(effects)
    first: dict[str, Event] = {}
    for event in view.calendar.occurrences(now, now + AHEAD):
        first.setdefault(event.name, event)
        if len(first) == MOST_AHEAD:
            break
    return EventsReport(
        tuple(
            EventAhead(event.name, event.start, event.end, _expected(event, learned))
            for event in first.values()
        ),
        _fewer(view.problems),
    )


def _fewer(problems: tuple[str, ...]) -> tuple[str, ...]:
    """As many problems as status holds, and how many more there are."""
    if len(problems) <= MOST_PROBLEMS:
        return problems
    told = problems[: MOST_PROBLEMS - 1]
    return (*told, f"and {len(problems) - len(told)} more problems")


def _expected(event: Event, learned: Sequence[LearnedEffects]) -> str:
    knowing = (effects for effects in learned if effects.of(event) is not None)
    return next(knowing, _NOTHING_LEARNED).explain(event)
