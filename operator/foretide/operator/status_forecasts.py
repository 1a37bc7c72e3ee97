"""`status.forecasts`: the forecasts in use, and the figures that they are trusted by. Pure."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from foretide.forecasting.decision import MetricPolicy
from foretide.forecasting.demand import Undecided
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.lookahead.choosing import Outcome
from foretide.forecasting.lookahead.features import STEP
from foretide.forecasting.lookahead.model import LookaheadModel
from foretide.forecasting.lookahead.plan import LEVELS, Plan

from .api.fields import format_duration
from .conditions import timestamp
from .report import MetricReport

Json = dict[str, Any]

_LONGEST_MESSAGE = 140


def forecasts_status(
    reports: Sequence[MetricReport], metrics: Sequence[MetricPolicy], *, now: float
) -> list[Json] | None:
    """An entry for each metric that has a forecast; None when there are none."""
    entries = [
        _entry(report, metric, now)
        for report, metric in zip(reports, metrics, strict=True)
        if report.horizon is not None or report.lookahead is not None
    ]
    return entries or None


def _entry(report: MetricReport, metric: MetricPolicy, now: float) -> Json:
    horizon, lookahead = report.horizon, report.lookahead
    known = horizon or lookahead
    assert known is not None
    return without_none(
        {
            "metric": metric.name,
            "history": format_duration(known.history_seconds),
            "points": known.history_points,
            "excluded": report.excluded or None,
            **({} if horizon is None else _horizon(horizon, metric, now)),
            "lookahead": None
            if lookahead is None
            else _lookahead(lookahead, report.plan, metric.target_utilization),
        }
    )


def _horizon(forecast: Forecast, metric: MetricPolicy, now: float) -> Json:
    peak = forecast.next_peak(now)
    return {
        "model": forecast.model,
        "quantile": forecast.quantile,
        "coverage": figure(forecast.coverage, 4),
        "fittedAt": timestamp(forecast.fitted_at),
        "validUntil": timestamp(forecast.valid_until),
        "nextPeak": None
        if peak is None
        else {
            "time": timestamp(peak[0]),
            "demand": f"{peak[1]:.6g}",
            "replicas": metric.replicas_for(peak[1]),
        },
    }


def _lookahead(model: LookaheadModel, plan: Plan | Undecided | None, utilization: float) -> Json:
    choice = model.choice(utilization)
    quantile = plan.quantile if isinstance(plan, Plan) else None
    # What the past says is told of the plan that it speaks of, not of one that was given.
    chosen = choice is not None and choice.plan == plan
    return without_none(
        {
            "fittedAt": timestamp(model.fitted_at),
            "window": format_duration(model.window * STEP),
            "quantile": None if quantile is None else round(quantile, 5),
            "coverage": None if quantile is None else figure(coverage_at(model, quantile), 4),
            "slack": f"{plan.slack:.3g}" if isinstance(plan, Plan) else None,
            "patience": _patience(plan) if isinstance(plan, Plan) else None,
            "expected": _outcome(choice.expected) if chosen and choice else None,
            "hpa": None if choice is None else _outcome(choice.hpa),
            "message": plan.message[:_LONGEST_MESSAGE] if isinstance(plan, Undecided) else None,
        }
    )


def _patience(plan: Plan) -> str | None:
    return format_duration(plan.patience) if plan.patience else None


def coverage_at(model: LookaheadModel, quantile: float) -> float:
    """The share of moments that a quantile covered out of sample; NaN where it is not known.

    Between the quantiles that were learned it is interpolated in nines, as plans are.
    """
    nines = -np.log10(1.0 - np.minimum([*LEVELS, quantile], LEVELS[-1]))
    return float(np.interp(nines[-1], nines[:-1], model.coverage))


def _outcome(outcome: Outcome | None) -> Json | None:
    if outcome is None:
        return None
    return {
        "replicas": f"{outcome.replicas:.4g}",
        "lackingPercent": f"{100 * outcome.under:.3g}",
    }


def figure(value: float | None, digits: int = 6) -> str | None:
    """A number as status writes it; None for what is none."""
    return None if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def without_none(entry: Json) -> Json:
    """An entry of a list without what there is not: lists are written as a whole."""
    return {key: value for key, value in entry.items() if value is not None}
