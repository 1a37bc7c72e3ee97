"""The classics of statsforecast: MSTL, AutoETS and AutoTheta.

Sources: Bandara, Hyndman & Bergmeir 2021; Hyndman et al. 2002; Fiorucci et al. 2016. They know one
value for each step of a regular grid, so they work on means of half an hour or an hour, of the last
weeks alone. Runs in a worker process: it imports statsforecast, which takes some seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from statsforecast import models  # type: ignore[import-untyped]

from ..demand import Undecided
from ..series import Series, Values
from .base import DAY, HOUR, Context, Fitted
from .curve import BEYOND, Grid, curve, grid

_WEEKS = 4
_FEWEST_DAYS = 2.0


def _mstl(known: Grid) -> Any:
    weekly = len(known.values) >= 14 * known.day
    seasons = [known.day, 7 * known.day] if weekly else [known.day]
    return models.MSTL(seasons, trend_forecaster=models.AutoETS(model="ZNN"))


def _ets(known: Grid) -> Any:
    # Over all forms it takes seconds; demand that is a rate has an additive day, and a trend in
    # what is forecast for two weeks on does more harm than good.
    return models.AutoETS(season_length=known.day, model="ZNA")


def _theta(known: Grid) -> Any:
    return models.AutoTheta(season_length=known.day)


@dataclass(frozen=True, slots=True)
class Classic:
    """One of statsforecast's models on means of `step` seconds.

    `lifted` models see demand plus its mean, so that none of it is zero.
    """

    name: str
    step: float
    model: Callable[[Grid], Any]
    lifted: bool = False

    def fit(self, history: Series, context: Context) -> Fitted | Undecided:
        """Needs two days of history, two seasons."""
        known = grid(history, context, self.step)
        newest = known.values[-_WEEKS * 7 * known.day :]
        known = replace(
            known,
            start=known.start + known.step * (len(known.values) - len(newest)),
            values=newest,
        )
        if len(known.values) < _FEWEST_DAYS * known.day:
            return Undecided("TooLittleHistory", f"{self.name} needs two days of history")
        ahead = int((context.horizon + BEYOND + DAY) / known.step)
        lift = float(known.values.mean()) if self.lifted else 0.0
        fitted = self.model(known).fit(known.values + lift)
        past = np.asarray(fitted.predict_in_sample()["fitted"], dtype=float)
        coming = np.asarray(fitted.predict(h=ahead)["mean"], dtype=float)
        past = np.where(np.isfinite(past), past, known.values + lift)
        values = np.concatenate((past, coming)) - lift
        at = known.start + known.step * (np.arange(len(values)) + 0.5)

        def level_at(times: Values) -> Values:
            return np.asarray(np.interp(times, at, values))

        return curve(history, context, level_at, known.step / 2)


MSTL = Classic("MSTL", HOUR / 2, _mstl)
AUTO_ETS = Classic("AutoETS", HOUR, _ets)
# With a zero in its history it takes the season for additive, and what it then says it had fitted
# is without the season.
AUTO_THETA = Classic("AutoTheta", HOUR, _theta, lifted=True)
