"""The derivative signal along a replay: it depends on demand alone, so it is looked for once."""

import numpy as np

from ..surge import Surge, SurgeLimits, detect
from .replay import Setting
from .trace import Trace

_HOUR = 3_600.0

# The surge that is seen at a moment (Unix seconds).
Surges = dict[float, Surge]


def surges(trace: Trace, setting: Setting) -> Surges:
    """The moments at which demand is seen to grow fast, as the operator would see it."""
    early = max(trace.demand.start, setting.start - _HOUR)
    early = setting.start - (setting.start - early) // setting.period * setting.period
    moments = np.arange(early, trace.demand.end, setting.period)
    known = trace.known_at(moments)
    finite = np.isfinite(known)
    readings = list(zip(moments[finite].tolist(), known[finite].tolist(), strict=True))
    limits = SurgeLimits(max_demand=trace.per_replica * setting.max_replicas)
    found: Surges = {}
    oldest = 0
    for position, (now, _) in enumerate(readings):
        while readings[oldest][0] < now - _HOUR:
            oldest += 1
        surge = detect(
            readings[oldest : position + 1], now=now, lead_time=setting.delay, limits=limits
        )
        if surge is not None:
            found[now] = surge
    return found
