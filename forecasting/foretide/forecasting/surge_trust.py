"""Whether the derivative may act: held against what came of the surges that were seen. Pure.

Some demand rises steeply now and then and stops at once, and to go on with each such rise costs
replicas that nobody needs. So each surge is followed for two lead times: either demand outgrew
what HPA would have had ready by then, or it was a false alarm. Where hardly any came true, the
derivative stops acting; it is judged on, and as old alarms fade, it is believed again.
"""

import math
from dataclasses import dataclass

from .surge import Surge

# Seconds in which an alarm fades to a third. Surges are rare: days, not hours.
_FADE = 7 * 86_400.0
# Before anything is known one surge counts as seen and come true: three false alarms end trust.
_BELIEVED = 1.0
_LEAST_SHARE = 0.3


@dataclass(slots=True)
class SurgeMeter:
    """The balance for one metric of one workload: surges, faded.

    `until` and `enough` are of the surge that is followed now: when it is given up, and the demand
    that HPA would carry then.
    """

    came: float = 0.0
    false: float = 0.0
    at: float | None = None
    until: float | None = None
    enough: float = math.inf

    def see(
        self, surge: Surge | None, demand: float, *, enough: float, lead_time: float, now: float
    ) -> Surge | None:
        """The surge, if it may act at `now` (Unix seconds).

        `enough` is the demand that the replicas carry which HPA would ask for now.
        """
        gone = 0.0 if self.at is None else now - self.at
        if gone < 0:
            self.until = None  # the clock was set back
        fade = math.exp(-max(0.0, gone) / _FADE)
        self.came, self.false, self.at = self.came * fade, self.false * fade, now
        if self.until is not None:
            if now > self.until:
                self.false, self.until = self.false + 1, None
            elif demand > self.enough:
                self.came, self.until = self.came + 1, None
        if surge is not None and self.until is None:
            self.until, self.enough = now + 2 * lead_time, enough
        return surge if self.trusted else None

    @property
    def trusted(self) -> bool:
        """Whether enough of the surges came true."""
        came = self.came + _BELIEVED
        return came >= _LEAST_SHARE * (came + self.false)
