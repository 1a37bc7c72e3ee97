"""What is to be acted on of the forecasts of one metric, now: by which plan, and with what trust.

The order: the model of the coming maximum, with the plan that the workload's own past has found or
with the quantile that a user asked for; the forecast of the hours ahead where its engine was
chosen by name, or while demand itself is unknown; else nothing, with the reason.
"""

from dataclasses import dataclass, replace
from typing import TypeVar

from foretide.forecasting.decision import MetricPolicy
from foretide.forecasting.demand import Demand, Reading, Undecided
from foretide.forecasting.forecast import Forecast, PeakForecast
from foretide.forecasting.lookahead.plan import Plan
from foretide.forecasting.recent import RecentDemand
from foretide.forecasting.trust import Foreseen, TrustMeter, judged, trusted
from foretide.forecasting.worker import NOT_WANTED

from .api.forecast import ForecastSpec
from .asking import SWITCHED_OFF
from .forecasts import NOT_FITTED_YET, Slot

Made = TypeVar("Made")

# Seconds. Demand by the minute hardly changes within them, and a prediction costs a millisecond.
_ASKED_EVERY = 14.0
# The share of calm where no replay has found one.
_USUAL_SLACK = 0.1
_DEMAND_UNKNOWN = Undecided(
    "DemandUnknown", "demand of the last minutes is not known, and the forecast goes by it"
)
_NO_REPLAY = Undecided(
    "PlanMissing", "the history is too short, or has too many gaps, to find a plan by replay"
)
_OTHER_TARGET = Undecided("PlanMissing", "a plan for the new targetUtilization is being made")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is foreseen of one metric, and by which plan (None where no model is asked)."""

    forecast: Foreseen
    plan: Plan | Undecided | None = None


def foresee(
    slot: Slot,
    recent: RecentDemand,
    spec: ForecastSpec,
    *,
    wanted: bool,
    target_utilization: float,
    demand: Demand,
    now: float,
) -> Outlook:
    """What the forecasts say, whether they are trusted or not; `wanted` is the signal's switch."""
    if not wanted:
        return Outlook(SWITCHED_OFF)
    if not spec.looks_ahead:
        return Outlook(_asked_for(slot.horizon))
    plan = plan_of(slot, spec, target_utilization, now)
    if isinstance(plan, Undecided):
        return Outlook(plan, plan)
    found = _peak(slot, recent, plan, now)
    lost = isinstance(found, Undecided) and not isinstance(demand, Reading)
    if lost and isinstance(slot.horizon, Forecast):
        return Outlook(slot.horizon, plan)
    return Outlook(found, plan)


def plan_of(
    slot: Slot, spec: ForecastSpec, target_utilization: float, now: float
) -> Plan | Undecided:
    """The plan by which the model of the coming maximum is acted on, or why it is not."""
    model = slot.model_at(now, spec.refit_every)
    if isinstance(model, Undecided):
        return _asked_for(model)
    choice = model.choice(target_utilization)
    if spec.quantile is not None:
        found = choice.plan if choice is not None else None
        if isinstance(found, Plan):
            return Plan.at_quantile(spec.quantile, found.slack, found.patience)
        return Plan.at_quantile(spec.quantile, _USUAL_SLACK)
    if choice is None:
        return _OTHER_TARGET if model.choices else _NO_REPLAY
    return choice.plan


def judge(
    trust: TrustMeter,
    outlook: Outlook,
    metric: MetricPolicy,
    flow: Demand,
    *,
    lead_time: float,
    now: float,
) -> Foreseen:
    """The forecast, if it may act; it is judged in any case, where demand is known."""
    if not isinstance(flow, Reading):
        return trusted(trust, outlook.forecast)
    return judged(trust, outlook.forecast, metric, flow.value, lead_time=lead_time, now=now)


def lifted(forecast: Foreseen, waiting: float) -> Foreseen:
    """The forecast with what waits now on top: nobody else will do that work."""
    if not waiting or isinstance(forecast, Undecided):
        return forecast
    if isinstance(forecast, PeakForecast):
        upper, median = forecast.upper + waiting, forecast.median + waiting
        return replace(forecast, upper=upper, median=median)
    return replace(
        forecast,
        upper=tuple(value + waiting for value in forecast.upper),
        median=tuple(value + waiting for value in forecast.median),
    )


def _asked_for(made: Made) -> Made | Undecided:
    """What the last fit has made; what it was not asked for is on its way now."""
    missing = isinstance(made, Undecided) and made.reason == NOT_WANTED.reason
    return NOT_FITTED_YET if missing else made


def _peak(slot: Slot, recent: RecentDemand, plan: Plan, now: float) -> PeakForecast | Undecided:
    """What the model says now; for some seconds its last answer counts."""
    asked = (plan, slot.fits)
    fresh = 0 <= now - slot.peak_at < _ASKED_EVERY
    if fresh and slot.peak_asked == asked:
        return slot.peak
    model, known = slot.lookahead, recent.known(now)
    if isinstance(model, Undecided) or known is None:
        slot.peak = _DEMAND_UNKNOWN
    else:
        slot.peak = model.forecast(known, plan)
    slot.peak_at, slot.peak_asked = now, asked
    return slot.peak
