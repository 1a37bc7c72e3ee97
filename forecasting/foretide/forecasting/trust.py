"""Whether a forecast may act: held, as it runs, against what HPA would have had ready.

What is ready now was asked for a lead time ago. So each forecast is compared, a lead time later,
with demand as it came, and so is what HPA would have asked for at the same moment. A minute in
which the forecast would have been short and HPA would not counts against it, the reverse for it;
minutes that both missed, or neither, say nothing. Old minutes fade. A forecast that went wrong
today stops acting today, and acts again when the balance has recovered: it is judged on, acting or
not. Being judged costs nothing, so the meter runs in Recommend mode and in replays alike.
"""

import math
from collections import deque
from dataclasses import dataclass, field

from .answers import MetricPolicy
from .demand import Undecided
from .forecast import Forecast, PeakForecast

Foreseen = Forecast | PeakForecast | Undecided

# Minutes of net harm at which trust is lost and found again, and how fast they fade (seconds).
_LOST_AT = 5.0
_FOUND_AT = 1.0
_FADE = 7_200.0
# Where HPA itself is short for much of the time, chance alone makes some minutes of difference.
_OF_MISSED, _MOST_OF_MISSED = 0.5, 5.0
_LONGEST_STEP = 120.0
# Praise is bounded: a good week must not pay for a bad hour.
_MOST_PRAISE = -2.0


@dataclass(frozen=True, slots=True)
class _Issued:
    at: float
    planned: float
    reactive: float


@dataclass(slots=True)
class TrustMeter:
    """The balance for one metric of one workload: minutes, faded.

    `harm` is what the forecast missed beyond HPA, `missed` what HPA would have missed.
    """

    harm: float = 0.0
    missed: float = 0.0
    lost: bool = False
    at: float | None = None
    _issued: "deque[_Issued]" = field(default_factory=deque)
    _in_force: _Issued | None = None

    def see(
        self, demand: float, *, planned: float, reactive: float, lead_time: float, now: float
    ) -> None:
        """Judge what was said a lead time ago by `demand` now, and note what is said now.

        `planned` and `reactive` are capacities, in the unit of demand: what the forecast and what
        HPA would have ready a lead time from now. `planned` is NaN where there is no forecast.
        """
        if self.at is not None and now < self.at:
            self._issued.clear()  # the clock was set back
            self._in_force = None
        minutes = 0.0 if self.at is None else min(max(0.0, now - self.at), _LONGEST_STEP) / 60
        fade = math.exp(-60 * minutes / _FADE)
        self.harm *= fade
        self.missed *= fade
        while self._issued and self._issued[0].at <= now - lead_time:
            self._in_force = self._issued.popleft()
        before = self._in_force
        if before is not None and math.isfinite(before.planned):
            short = demand > before.reactive
            wrong = (demand > before.planned) - short
            self.harm = max(_MOST_PRAISE, self.harm + wrong * minutes)
            self.missed += short * minutes
        limit = _FOUND_AT if self.lost else _LOST_AT
        self.lost = self.harm >= limit + min(_MOST_OF_MISSED, _OF_MISSED * self.missed)
        self._issued.append(_Issued(now, planned, reactive))
        self.at = now

    @property
    def verdict(self) -> Undecided | None:
        """Why the forecast may not act; None when it may."""
        if not self.lost:
            return None
        return Undecided(
            "Distrusted",
            "the forecast has lately been short where HPA would not have been; "
            "it acts again when it would have done better for a while",
        )


def judged(
    trust: TrustMeter,
    forecast: Foreseen,
    metric: MetricPolicy,
    demand: float,
    *,
    lead_time: float,
    now: float,
) -> Foreseen:
    """The forecast, if it may act at `now`; it is judged by `demand` in any case."""
    planned = math.nan
    if isinstance(forecast, Forecast) and forecast.covers(now, now + lead_time):
        planned = forecast.upper_peak(now, now + lead_time)
    elif isinstance(forecast, PeakForecast):
        planned = forecast.upper
    if math.isfinite(planned):
        planned = metric.capacity(metric.replicas_for(max(planned, demand)))
    reactive = metric.capacity(metric.with_headroom(demand))
    trust.see(demand, planned=planned, reactive=reactive, lead_time=lead_time, now=now)
    return trusted(trust, forecast)


def trusted(trust: TrustMeter, forecast: Foreseen) -> Foreseen:
    """The forecast, or why it may not act."""
    if isinstance(forecast, Undecided) or trust.verdict is None:
        return forecast
    return trust.verdict
