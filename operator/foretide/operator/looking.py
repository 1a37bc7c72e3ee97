"""One metric at one tick: what each signal says of it.

No I/O; what is to be remembered goes into the `Scaler`.
"""

import math
from dataclasses import dataclass, replace

from foretide.forecasting.decision import MetricObservation, MetricPolicy, ScalingPolicy
from foretide.forecasting.demand import Awaited, Demand, Reading, Undecided, hold_sudden_drop
from foretide.forecasting.events.model import NOTHING_AHEAD, EventCalendar, EventOutlook
from foretide.forecasting.events.outlook import outlook
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.lookahead.model import LookaheadModel
from foretide.forecasting.series import Series
from foretide.forecasting.surge import Surge, detect
from foretide.forecasting.trust import Foreseen

from .api.predictivescaler import PredictiveScalerSpec
from .cluster import Target
from .demands import Measured, weigh
from .forecasts import NOT_FITTED_YET, Slot
from .foreseeing import foresee, judge, lifted
from .report import MetricReport
from .scaler import Readings, Scaler

# With many resources the first fits after a restart take a while. What is not scaled by a forecast
# needs its headroom after so many seconds.
_PATIENCE = 120.0
_HOUR = 3_600.0
# Events are looked at so many seconds further than the lead time: a tick comes now and then, and by
# HPA's rate policies three times as many replicas take two.
_TICKS = 30.0
_UNSURE = Undecided(
    "EventUnderWay",
    "an event was under way when Foretide began to look, and whether its demand has come is not "
    "known: nothing is taken away until it is over, or for two hours",
)


@dataclass(frozen=True, slots=True)
class Glance:
    """One metric of a resource at `now`: what it measures, and the forecasts there are of it.

    `whole` is the policy in force, `policy` the metric's part of it.
    """

    scaler: Scaler
    spec: PredictiveScalerSpec
    policy: MetricPolicy
    whole: ScalingPolicy
    measured: Measured
    slot: Slot
    now: float

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.policy.name


def look(
    at: Glance, calendar: EventCalendar, target: Target
) -> tuple[MetricObservation, MetricReport]:
    """What the decision takes, and what status tells."""
    remember(at)
    scaler, slot, measured, name = at.scaler, at.slot, at.measured, at.name
    trust = scaler.trust[name]
    foreseen = foresee(
        slot,
        scaler.recent[name],
        at.spec.forecast,
        wanted=at.spec.signals.time_series,
        target_utilization=at.policy.target_utilization,
        demand=measured.flow,
        now=at.now,
    )
    lead_time = at.whole.lead_time
    acting = judge(trust, foreseen, at.policy, measured.flow, lead_time=lead_time, now=at.now)
    hold = _sudden_drop(at)
    demand = measured.demand
    if measured.resource is not None and isinstance(demand, Reading):
        demand, lacking = weigh(
            measured.resource,
            at.policy,
            at.whole.behavior,
            current=target.replicas,
            planned=not isinstance(acting, Undecided),
        )
        hold = hold or lacking
    # Events are in a forecast of the hours ahead, unless what they do could not be learned.
    knows = isinstance(acting, Forecast) and slot.unlearned is None
    event = _events(at, calendar, known=knows)
    if event.unsure:
        hold = hold or _UNSURE
    observation = MetricObservation(
        demand=demand,
        forecast=_awaited(at, lifted(acting, measured.waiting)),
        event=event,
        surge=_surge(at) if at.spec.signals.derivative else None,
        hold=hold,
    )
    report = MetricReport(
        horizon=slot.horizon if isinstance(slot.horizon, Forecast) else None,
        lookahead=slot.lookahead if isinstance(slot.lookahead, LookaheadModel) else None,
        plan=foreseen.plan,
        excluded=len(slot.excluded),
        failure=slot.hindrance or slot.failure,
        store_trouble=slot.store_trouble,
        unlearned=slot.unlearned,
        trust=None if slot.empty else trust,
        zero_since=scaler.zero_since.get(name),
        drop_since=scaler.drop_since.get(name),
    )
    return observation, report


def remember(at: Glance) -> None:
    """Keep the reading, and take over the recent past that a new model has come with."""
    recent, readings = at.scaler.recent[at.name], at.scaler.readings[at.name]
    history = at.slot.take_recent()
    if history is not None:
        recent.seed(history)
        _prefill(readings, history, at.now)
    flow = _flow(at.measured)
    if not isinstance(flow, Reading):
        return
    recent.add(flow.value, at.now)
    if readings and readings[-1][0] > at.now:
        readings.clear()  # the clock was set back
    if readings and readings[-1][0] == at.now:
        readings.pop()
    readings.append((at.now, flow.value))


def note(known: dict[str, float], name: str, since: float | None) -> None:
    """Remember since when something has been so, or that it is not."""
    if since is None:
        known.pop(name, None)
    else:
        known[name] = since


def _prefill(readings: Readings, history: Series, now: float) -> None:
    """Put the last hour of a history before the readings: growth is seen at once."""
    first = readings[0][0] if readings else now
    hour = history.between(max(history.start, first - _HOUR), first)
    pairs = zip(hour.times.tolist(), hour.values.tolist(), strict=True)
    known = [(at, value) for at, value in pairs if math.isfinite(value)]
    room = (readings.maxlen or 0) - len(readings)
    if room > 0:
        readings.extendleft(reversed(known[-room:]))


def _sudden_drop(at: Glance) -> Undecided | None:
    """Why demand may have fallen for another reason than fewer users."""
    scaler, horizon = at.scaler, at.slot.horizon
    # A forecast that is not trusted says nothing of what is far too low.
    believed = isinstance(horizon, Forecast) and scaler.trust[at.name].verdict is None
    hold, since = hold_sudden_drop(
        at.measured.flow,
        lower=horizon.lower_at(at.now) if believed and isinstance(horizon, Forecast) else math.nan,
        since=scaler.drop_since.get(at.name),
        grace=at.spec.sudden_drop_grace,
        now=at.now,
    )
    note(scaler.drop_since, at.name, since)
    return hold


def _events(at: Glance, calendar: EventCalendar, *, known: bool) -> EventOutlook:
    """What events mean for the lead time; where the forecast has them in it, only their floor."""
    end = at.now + at.whole.lead_time + _TICKS
    if not len(calendar):
        return NOTHING_AHEAD
    near = next(calendar.occurrences(at.now, end), None) is not None
    flow = _flow(at.measured)
    ahead = outlook(
        calendar,
        at.slot.effects,
        at.now,
        end,
        recent=at.scaler.recent[at.name].known(at.now) if near and not known else None,
        demand=flow.value if isinstance(flow, Reading) else None,
    )
    if known and ahead is not NOTHING_AHEAD:
        return replace(ahead, rise=1.0, unsure=False)
    return ahead


def _flow(measured: Measured) -> Demand:
    """What comes in; all of demand where that is not known: a backlog grows, too."""
    return measured.flow if isinstance(measured.flow, Reading) else measured.demand


def _surge(at: Glance) -> Surge | None:
    readings = at.scaler.readings[at.name]
    if not readings or readings[-1][0] != at.now:
        return None
    found = detect(
        list(readings),
        now=at.now,
        lead_time=at.whole.lead_time,
        limits=at.spec.surge.limits(at.policy.capacity(at.whole.max_replicas)),
    )
    demand, policy = readings[-1][1], at.policy
    found = at.scaler.surge_trust[at.name].see(
        found,
        demand,
        enough=policy.capacity(policy.with_headroom(demand)),
        lead_time=at.whole.lead_time,
        now=at.now,
    )
    if found is None or not at.measured.waiting:
        return found
    return replace(found, predicted=found.predicted + at.measured.waiting)


def _awaited(at: Glance, forecast: Foreseen) -> Foreseen:
    """After a restart a forecast that there was is waited for, for a while."""
    if forecast is not NOT_FITTED_YET or not at.scaler.forecast_was_available:
        return forecast
    overdue = at.now - at.scaler.first_tick_at > _PATIENCE
    return Awaited(NOT_FITTED_YET.reason, NOT_FITTED_YET.message, overdue=overdue)
