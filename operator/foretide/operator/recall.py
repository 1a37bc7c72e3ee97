"""What a restart takes over from status. Pure.

Anybody may edit a status by hand, so nothing in it may stop the resource from being looked after:
what cannot be read is left out, and written anew with the first decision.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from foretide.forecasting.behavior import Change
from foretide.forecasting.guards import Spending
from foretide.forecasting.lead_time import StartHistory
from foretide.forecasting.shadow import Shadow
from foretide.forecasting.slo import SloState
from foretide.forecasting.trust import TrustMeter

from .api.slo import SloStatus
from .api.status import PredictiveScalerStatus, Trust
from .conditions import FORECAST, ROUTINE, TRUSTED, parse_timestamp

_UNREADABLE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
# Minutes; far more than any meter holds.
_MOST_MINUTES = 1_000.0


@dataclass(frozen=True, slots=True)
class Recalled:
    """What status says of earlier ticks; see the fields of the same names in `Scaler`.

    `status` is the whole of it, empty where it is not what the CRD says.
    """

    status: dict[str, Any] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    floor_changes: tuple[Change, ...] = ()
    zero_since: dict[str, float] = field(default_factory=dict)
    drop_since: dict[str, float] = field(default_factory=dict)
    trust: dict[str, TrustMeter] = field(default_factory=dict)
    start_history: StartHistory = field(default_factory=StartHistory)
    shadow: Shadow = field(default_factory=Shadow)
    announced: dict[str, tuple[str, str]] = field(default_factory=dict)
    forecast_was_available: bool = False


def recall(status: Any, now: float) -> Recalled:
    """Read a status of any shape."""
    whole: dict[str, Any] = {}
    with contextlib.suppress(ValidationError):
        PredictiveScalerStatus.model_validate(status or {})
        whole = dict(status or {})
    conditions = {
        condition["type"]: (condition["status"], condition["reason"])
        for condition in whole.get("conditions") or ()
    }
    return Recalled(
        status=whole,
        changes=_changes(status, "changes"),
        floor_changes=_changes(status, "floorChanges"),
        zero_since=dict(_times(status, "zeroSince")),
        drop_since=dict(_times(status, "dropSince")),
        trust=dict(_meters(status)),
        start_history=StartHistory.from_lines(_lines(status, "leadTime", "startUps"), now),
        shadow=Shadow.from_figures(_lines(status, "shadow", "hours")),
        announced={kind: said for kind, said in conditions.items() if said[1] not in ROUTINE},
        # One that was not trusted is not worth waiting for.
        forecast_was_available=conditions.get(FORECAST, ("",))[0] == "True"
        and conditions.get(TRUSTED, ("True",))[0] != "False",
    )


def guards_of(status: Any, now: float) -> tuple[Spending, SloState]:
    """What has been spent, and the steps that the SLO watches over."""
    spending, slo = Spending(), SloState()
    with contextlib.suppress(*_UNREADABLE):
        guard = status["costGuard"]
        exhausted = guard.get("exhausted") is True
        spending = Spending.from_figures(guard["hours"] or (), now, exhausted=exhausted)
    with contextlib.suppress(*_UNREADABLE):  # a ValidationError is a ValueError
        slo = SloStatus.model_validate(status["slo"]).state()
    return spending, slo


def _changes(status: Any, key: str) -> tuple[Change, ...]:
    with contextlib.suppress(*_UNREADABLE):
        return tuple(
            Change(parse_timestamp(past["time"]), int(past["before"]), int(past["after"]))
            for past in status[key]
        )
    return ()


def _metrics(status: Any) -> list[Mapping[str, Any]]:
    with contextlib.suppress(*_UNREADABLE):
        found = status["decision"]["metrics"]
        return [one for one in found if isinstance(one, Mapping) and isinstance(one["name"], str)]
    return []


def _times(status: Any, key: str) -> Iterator[tuple[str, float]]:
    for metric in _metrics(status):
        with contextlib.suppress(*_UNREADABLE):
            yield metric["name"], parse_timestamp(metric[key])


def _meters(status: Any) -> Iterator[tuple[str, TrustMeter]]:
    for metric in _metrics(status):
        with contextlib.suppress(*_UNREADABLE):
            harm, missed = (_minutes(metric[key]) for key in ("harmMinutes", "missedMinutes"))
            lost = metric["trust"] == Trust.LOST
            yield metric["name"], TrustMeter(harm=harm, missed=max(0.0, missed), lost=lost)


def _minutes(text: Any) -> float:
    """Raises ValueError where it is not as many minutes as a meter may hold."""
    minutes = float(text)
    if not abs(minutes) <= _MOST_MINUTES:
        raise ValueError(f"{minutes} minutes")
    return minutes


def _lines(status: Any, part: str, key: str) -> list[object]:
    with contextlib.suppress(*_UNREADABLE):
        found = status[part][key]
        return list(found) if isinstance(found, list) else []
    return []
