"""Boosted: gradient-boosted trees on what the linear forecast misses, the lead among the features.

Trees cannot extrapolate, so they are not asked for demand but for the error of the linear forecast
in units of its usual size at that lead: its median (where demand will be off) and its size (how
sure one may be). Runs in a worker process: it imports LightGBM.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from ..calendar import local_clock
from ..demand import Undecided
from ..series import Series, Values
from .base import DAY, Context, Fitted, Ints, Outlook, hats
from .pairs import learning_pairs
from .pattern import Linear, fit_linear, regressors
from .patterns import Patterns, Views, look
from .walk_forward import times_of

_MOST_PAIRS = 12_000
_LARGEST_ERROR = 8.0
_SMALLEST_SCALE = 0.1
_PARAMETERS = {
    "num_threads": 1,
    "verbosity": -1,
    "seed": 1,
    "deterministic": True,
    "force_col_wise": True,
    "num_leaves": 7,
    "max_bin": 63,
    "learning_rate": 0.08,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "min_data_in_leaf": 400,
}
_ROUNDS = 30


@dataclass(frozen=True, slots=True)
class Boosted:
    """The direct gradient-boosting engine."""

    name: str = "Boosted"

    def fit(self, history: Series, context: Context) -> Fitted | Undecided:
        """Learn from pairs within the history. Needs a day of it."""
        if history.end - history.start < DAY:
            return Undecided("TooLittleHistory", "boosting needs a day of history")
        origins, leads = learning_pairs(history, context, _MOST_PAIRS)
        if len(origins) < 1_000:
            return Undecided("TooLittleHistory", "the history has too few points for boosting")
        linear = fit_linear(history, context, origins, leads)
        patterns = Patterns.of(history, context, linear.typical)
        views = look(patterns, origins, leads)
        share = hats(leads, linear.at)
        usual = share @ linear.spread
        mean = linear.relative(views, share)
        missed = (history.values[origins + leads - 1] / views.level - mean) / usual
        missed = np.clip(missed, -_LARGEST_ERROR, _LARGEST_ERROR)
        seen = _features(history, context, patterns, views, mean, origins, leads)
        return _Trees(
            linear,
            *_train(seen, (("l1", missed), ("l2", np.abs(missed)))),
        )


def _train(seen: Values, wanted: "tuple[tuple[str, Values], ...]") -> Iterator[Any]:
    """A booster for each objective and what it is to say, on features that are binned once."""
    data = lightgbm.Dataset(seen, wanted[0][1], params=_PARAMETERS, free_raw_data=False)
    data.construct()
    for objective, values in wanted:
        data.set_label(values)
        yield lightgbm.train(
            {**_PARAMETERS, "objective": objective}, data, _ROUNDS, keep_training_booster=True
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Trees:
    linear: Linear
    offset: Any
    size: Any

    def outlook(self, history: Series, origins: Ints, leads: Ints) -> Outlook:
        context = self.linear.context
        furthest = int(leads.max(initial=1))
        patterns = Patterns.of(history, context, self.linear.typical, furthest)
        views = look(patterns, origins, leads)
        share = hats(leads, self.linear.at)
        usual = share @ self.linear.spread
        mean = self.linear.relative(views, share)
        seen = _features(history, context, patterns, views, mean, origins, leads)
        location = mean + usual * np.asarray(self.offset.predict(seen, num_threads=1))
        size = np.maximum(np.asarray(self.size.predict(seen, num_threads=1)), _SMALLEST_SCALE)
        return Outlook(np.maximum(location, 0.0) * views.level, usual * size * views.level)


def _features(
    history: Series,
    context: Context,
    patterns: Patterns,
    views: Views,
    mean: Values,
    origins: Ints,
    leads: Ints,
) -> Values:
    clock = local_clock(times_of(history, origins, leads), context.time_zone)
    own = [
        mean,
        views.simple.std(axis=1),
        leads.astype(float),
        clock.second / 3_600,
        clock.weekday.astype(float),
        views.level / max(patterns.typical, 1e-12),
    ]
    return np.concatenate((np.stack(own, axis=1), regressors(views, mean)[:, :-1]), axis=1)
