"""Backlogs: work that waits, as demand per second. Pure.

A queue's length is no demand: a thousand messages need one replica or fifty, by how soon they are
to be gone. So it becomes a rate, that of the work which arrives and of the work which waits:

    demand = arrival rate + backlog ÷ time to drain it in

and replicas = demand ÷ what one replica gets through in a second, as for any other rate.

Without a query for arrivals the first term is left out. Then the queue settles where draining it in
that time takes as many replicas as keep up with what arrives: it always holds about one drain
time's worth of work, as with KEDA's queueLength.

What is forecast is the arrival rate alone. A backlog's past is the work of those who scaled then:
a forecast of it would learn our own mistakes as if they were demand. So without a query for
arrivals there is no forecast (`NO_ARRIVALS`), and with one the work that waits now is added to
whatever is forecast, as nobody else will do it.

An empty queue is good news and needs no grace, unlike a rate that suddenly falls to zero: only
arrivals are to be doubted (`demand.doubt_sudden_zero`), before they come here.
"""

import math

from .demand import Demand, Reading, Unavailable, Undecided

NO_ARRIVALS = Undecided(
    "NoArrivalQuery",
    "a backlog is not forecast, only what arrives: give arrivalQuery, the rate of arrivals",
)


def drain_rate(backlog: Demand, drain_within: float) -> float:
    """What waits, as a rate over `drain_within` seconds; 0 while it is unknown.

    Add this to a forecast of arrivals.

    Raises:
        ValueError: the time is not positive.
    """
    if not 0 < drain_within < math.inf:
        raise ValueError(f"the time to drain a backlog in must be positive, not {drain_within} s")
    return backlog.value / drain_within if isinstance(backlog, Reading) else 0.0


def backlog_demand(backlog: Demand, arrivals: Demand | None, drain_within: float) -> Demand:
    """Demand per second of a backlog (in items) and its arrivals (items per second).

    None as `arrivals` means that nobody has a query for them. If either cannot be had, demand
    cannot: half of a sum would scale in on an outage.

    Raises:
        ValueError: the time to drain in is not positive.
    """
    waiting = drain_rate(backlog, drain_within)
    if isinstance(backlog, Unavailable):
        return Unavailable(backlog.reason, f"backlog: {backlog.message}")
    if arrivals is None:
        return Reading(waiting, backlog.at)
    if isinstance(arrivals, Unavailable):
        return Unavailable(arrivals.reason, f"arrivals: {arrivals.message}")
    return Reading(arrivals.value + waiting, min(backlog.at, arrivals.at))
