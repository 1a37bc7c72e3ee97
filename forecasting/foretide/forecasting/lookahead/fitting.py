"""Learning the quantiles of the coming maximum. Runs in a worker process: it imports LightGBM.

Quantile regression by gradient boosting (pinball loss; Friedman 2001, Koenker and Bassett 1978)
on the logarithm of the maximum over the window, relative to the level of demand now.
"""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from ..demand import Undecided
from ..series import Series, Values
from .choosing import Choice, Workload, choose
from .features import REACH, STEP, features, fill_gaps, peaks_ahead, smallest_unit
from .model import LookaheadModel, coverage_of
from .plan import LEVELS, calibrate, shifted, to_demand
from .running import Indices
from .trees import Trees

_ROUNDS = 80
# The lower quantiles are learned sooner than the tail, of which each minute tells little.
_ROUNDS_BELOW = 50
_TAIL = 0.9
_PARAMETERS = {
    "objective": "quantile",
    "num_leaves": 15,
    "learning_rate": 0.08,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "max_bin": 63,
    "use_missing": False,
    "feature_pre_filter": False,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 1,
    "verbose": -1,
}
# Neighbouring minutes tell nearly the same; more rows than these cost time and teach nothing.
_MOST_ROWS = 7_000
_FEWEST_ROWS = 200
_FIRST = 360
_REPLAYED = 7 * 1_440
_COVERAGE = 0.8


@dataclass(frozen=True, slots=True)
class Past:
    """Demand by the minute, gaps filled, with all that turns moments of it into rows.

    `start` is in Unix seconds, `window` in minutes. `usable` (n) is False where something was
    wrong with demand: such minutes are no example of anything, though they are seen as they were.
    """

    values: Values
    start: float
    window: int
    unit: float
    zone: str
    usable: "np.ndarray[tuple[int], np.dtype[np.bool_]]"

    @classmethod
    def of(
        cls,
        values: Values,
        *,
        start: float,
        window: int,
        zone: str,
        usable: "np.ndarray[tuple[int], np.dtype[np.bool_]] | None" = None,
    ) -> "Past":
        """Prepare demand by the minute."""
        filled = fill_gaps(values)
        return cls(
            filled,
            start,
            window,
            smallest_unit(filled),
            zone,
            np.ones(len(values), dtype=bool) if usable is None else usable,
        )

    def moments(self) -> Indices:
        """The minutes that can serve as examples: what came is known, and nothing was wrong."""
        at = np.arange(min(_FIRST, len(self.values) // 4), len(self.values) - self.window)
        good = np.isfinite(peaks_ahead(self.values, at, self.window))
        good &= peaks_ahead((~self.usable).astype(float), at, self.window) < 1
        return at[good]

    def examples(self, at: Indices) -> "Examples":
        """These moments with all that there is to learn from them."""
        rows = features(
            self.values, at, start=self.start, window=self.window, unit=self.unit, zone=self.zone
        )
        came = np.log(peaks_ahead(self.values, at, self.window) + self.unit) - rows.level
        return Examples(at, rows.table, rows.level, came, self.unit)


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Moments (n) as rows: features (n, features), level, and what came relative to it, in logs."""

    at: Indices
    table: Values
    level: Values
    came: Values
    unit: float

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, which: "slice | npt.NDArray[np.bool_]") -> "Examples":
        return Examples(
            self.at[which], self.table[which], self.level[which], self.came[which], self.unit
        )


@dataclass(frozen=True, slots=True)
class Learned:
    """A booster for each quantile. `trees` is what may leave the worker."""

    boosters: tuple[lgb.Booster, ...]

    def trees(self) -> Trees:
        """The same as plain arrays."""
        return Trees.of_boosters([booster.dump_model() for booster in self.boosters])

    def quantiles(self, asked: Examples) -> Values:
        """The quantiles of the coming maximum at these moments, shape (levels, n)."""
        answers = [booster.predict(asked.table, num_threads=1) for booster in self.boosters]
        return to_demand(np.asarray(answers), asked.level, asked.unit)


def learn(examples: Examples) -> Learned | None:
    """Learn from these moments; None where there are too few."""
    thinned = examples[:: max(1, -(-len(examples) // _MOST_ROWS))]
    thinned = thinned[np.isfinite(thinned.came)]
    if len(thinned) < _FEWEST_ROWS:
        return None
    data = lgb.Dataset(thinned.table, thinned.came, params=_PARAMETERS, free_raw_data=False)
    data.construct()
    return Learned(
        tuple(
            lgb.train(
                {**_PARAMETERS, "alpha": level},
                data,
                _ROUNDS if level >= _TAIL else min(_ROUNDS, _ROUNDS_BELOW),
                keep_training_booster=True,
            )
            for level in LEVELS
        )
    )


def out_of_sample(examples: Examples, folds: int = 2) -> Values | None:
    """Quantiles for moments by boosters that have not seen their days, shape (levels, n).

    Whole days in turn (shorter blocks where there are few days) go to the folds: neighbouring
    minutes share most of their windows, so anything finer would let them see the answer.
    """
    moments = examples.at
    days = max(1, (int(moments[-1]) - int(moments[0])) // 1_440) if len(moments) else 1
    block = 1_440 if days >= 2 * folds else max(120, (len(moments) // (2 * folds)))
    fold = (moments // block) % folds
    answers = np.full((len(LEVELS), len(moments)), np.nan)
    for number in range(folds):
        learned = learn(examples[fold != number])
        if learned is None:
            return None
        answers[:, fold == number] = learned.quantiles(examples[fold == number])
    return answers


@dataclass(frozen=True, slots=True)
class LookaheadRequest:
    """What a fit is for. `window` in minutes, `min_history` in seconds, `now` in Unix seconds.

    `workload` is what is replayed to find a plan for each of the `targets` (target utilisations).
    """

    workload: Workload
    window: int
    targets: tuple[float, ...]
    now: float
    min_history: float
    zone: str = "UTC"


def fit(
    history: Series,
    request: LookaheadRequest,
    usable: "np.ndarray[tuple[int], np.dtype[np.bool_]] | None" = None,
    samples: Series | None = None,
) -> LookaheadModel | Undecided:
    """Learn from demand by the minute (peaks), and find out by replay how to act on it.

    `samples`, on the same grid, is what was known of demand at the end of each minute: a scaler
    sees samples, which are lower than peaks, and a replay must show it no more. Left out, peaks
    are taken for them.

    Raises:
        ValueError: the history is not by the minute, or the samples are on another grid.
    """
    if history.step != STEP:
        raise ValueError(f"history must be by the minute, not {history.step:g} s")
    if samples is not None and (samples.start, len(samples)) != (history.start, len(history)):
        raise ValueError("samples must be on the grid of the history")
    has = history.known * STEP
    if has < _COVERAGE * request.min_history:
        return Undecided(
            "TooLittleHistory", f"needs {_days(request.min_history)} of history, has {_days(has)}"
        )
    past = Past.of(
        history.values,
        start=history.start,
        window=request.window,
        zone=request.zone,
        usable=usable,
    )
    moments = past.moments()
    examples = past.examples(moments) if len(moments) else None
    learned = None if examples is None else learn(examples)
    if examples is None or learned is None:
        return Undecided("TooLittleHistory", "too few minutes of the history are usable")
    quantiles = out_of_sample(examples)
    peaks = peaks_ahead(past.values, moments, past.window)
    if quantiles is None:
        quantiles = np.full((len(LEVELS), len(moments)), np.nan)
    shifts = calibrate(quantiles, peaks, past.unit)
    coverage = coverage_of(quantiles, peaks, past.unit)
    quantiles = shifted(quantiles, shifts, past.unit)
    return LookaheadModel(
        trees=learned.trees(),
        shifts=shifts,
        unit=past.unit,
        zone=request.zone,
        window=request.window,
        choices=_choices(
            past, moments, quantiles, request, past.values if samples is None else samples.values
        ),
        coverage=coverage,
        recent=Series(history.start, STEP, past.values).between(
            history.end - STEP * REACH, history.end
        ),
        fitted_at=request.now,
        history_seconds=history.end - history.start,
        history_points=history.known,
    )


def _choices(
    past: Past,
    moments: Indices,
    quantiles: Values,
    request: LookaheadRequest,
    samples: Values,
) -> tuple[Choice, ...]:
    """Plans by replay of the last days: they are most like what comes, and cost less time."""
    recent = moments >= moments[-1] - _REPLAYED
    known = samples[moments - 1]
    good = recent & np.isfinite(known) & np.isfinite(past.values[moments])
    good &= np.isfinite(quantiles).all(axis=0)
    if good.sum() < _FEWEST_ROWS:
        return ()
    return tuple(
        choose(
            past.values[moments[good]],
            known[good],
            quantiles[:, good],
            request.workload,
            request.targets,
        )
    )


def _days(seconds: float) -> str:
    return f"{seconds / 86_400:.1f} days" if seconds >= 86_400 else f"{seconds / 3_600:.1f} h"
