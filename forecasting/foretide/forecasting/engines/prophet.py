"""Prophet as an engine: its level for each time of day and week, and its trend.

Source: Taylor & Letham 2018. Runs in a worker process: it imports pandas and Prophet.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..demand import Undecided
from ..prophet_model import fit_level
from ..series import Series, Values
from .base import DAY, Context, Fitted
from .curve import curve, grid

_STEP = 900.0


@dataclass(frozen=True, slots=True)
class Prophet:
    """Prophet, with what demand is off it now carried forward."""

    name: str = "Prophet"

    def fit(self, history: Series, context: Context) -> Fitted | Undecided:
        """Fit to quarters of an hour. Needs a day of history."""
        if history.end - history.start < DAY or history.known < 2:
            return Undecided("TooLittleHistory", "Prophet needs a day of history")
        means = grid(history, context, _STEP)
        clock = pd.to_datetime(means.times, unit="s", utc=True)
        # The grid is local already, so to Prophet it is UTC.
        level_at = fit_level(pd.Series(means.values, index=clock), "UTC")

        def at(times: Values) -> Values:
            unique, where = np.unique(times, return_inverse=True)
            return level_at(pd.DatetimeIndex(pd.to_datetime(unique, unit="s")))[where]

        return curve(history, context, at, _STEP)
