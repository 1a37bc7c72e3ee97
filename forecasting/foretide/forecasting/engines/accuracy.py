"""How good models are on a history: fit to its beginning, ask for the day after, sum up what came.

Runs in worker processes: it imports what the engines import.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from ..cleaning import clean
from ..demand import Undecided
from ..series import Series, Values
from .base import Context, Ints
from .catalogue import AUTO, engines_named
from .choice import MOST_POINTS, Chosen, alone, choose, judge
from .walk_forward import head, pinball, tail

CHOICE, NAIVE = "Choice", AUTO[0]
_USUAL = Context()


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over what was forecast."""

    count: float = 0.0
    demand: float = 0.0
    missed: float = 0.0
    median_loss: float = 0.0
    upper_loss: float = 0.0
    covered: float = 0.0

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def of(cls, truth: Values, median: Values, upper: Values, quantile: float) -> "Tally":
        """What was said against what came (all of one shape)."""
        sums = (
            np.abs(truth),
            np.abs(truth - median),
            pinball(truth, median, 0.5),
            pinball(truth, upper, quantile),
            truth <= upper,
        )
        return cls(float(len(truth)), *(float(part.sum()) for part in sums))

    def figures(self) -> dict[str, float]:
        """WAPE and coverage as fractions of 1, pinball losses as shares of mean demand."""
        demand = max(self.demand, 1e-300)
        return {
            "wape": self.missed / demand,
            "pinball_median": self.median_loss / demand,
            "pinball_upper": self.upper_loss / demand,
            "coverage": self.covered / max(self.count, 1.0),
        }


# By lead (in steps) and model; and what seasonal-naive did where a model was asked, under
# `beside(model)`: with little history not all models can be.
Tallies = dict[tuple[int, str], Tally]


def beside(model: str) -> str:
    """The name under which seasonal-naive is summed up where this model was asked."""
    return f"{NAIVE} beside {model}"


def add(tallies: Tallies, more: Tallies) -> None:
    """Put tallies into others."""
    for key, tally in more.items():
        tallies[key] = tallies.get(key, Tally()).plus(tally)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One fit to what is known before index `at` of a history, asked until index `until`.

    It is asked `times` in all, evenly spread, and recalibrated `refreshes` times meanwhile, by
    what has been seen by then. `models` are asked each alone as well, beside the choice among
    `candidates`.
    """

    history: Series
    at: int
    until: int
    leads: tuple[int, ...]
    models: tuple[str, ...] = AUTO
    candidates: tuple[str, ...] = AUTO
    times: int = 96
    refreshes: int = 4
    context: Context = _USUAL


def trial(wanted: Trial) -> Tallies:
    """Fit the choice and each model alone to the past, and see what they say of the future.

    Raises:
        ValueError: there is too little history even for seasonal-naive.
    """
    first = max(0, wanted.at - MOST_POINTS)
    whole = tail(wanted.history, len(wanted.history) - first)
    known = clean(head(whole, wanted.at - first), wanted.context.time_zone).series
    chosen = choose(engines_named(wanted.candidates), known, wanted.context)
    if isinstance(chosen, Undecided):
        raise ValueError(chosen.message)
    models = {CHOICE: chosen, **_each_alone(chosen, wanted.models)}
    tallies: Tallies = {}
    origins = np.unique(np.linspace(wanted.at, wanted.until - 1, wanted.times).astype(np.int64))
    for part in np.array_split(origins - first, min(wanted.refreshes, len(origins))):
        seen = clean(head(whole, int(part[0])), wanted.context.time_zone).series
        now = replace(whole, values=np.concatenate((seen.values, whole.values[len(seen) :])))
        said = {
            name: _ask(model.refreshed(seen), now, whole.values, part, wanted.leads)
            for name, model in models.items()
        }
        for name in models:
            add(tallies, {(lead, name): one for lead, one in said[name].items()})
            naive = said.get(NAIVE, {})
            add(tallies, {(lead, beside(name)): one for lead, one in naive.items()})
    return tallies


def _each_alone(chosen: Chosen, names: Sequence[str]) -> dict[str, Chosen]:
    judged = {one.engine.name: one for one in chosen.judged}
    found = {}
    for engine in engines_named(names):
        one = judged.get(engine.name) or judge(engine, chosen.history, chosen.context)
        if isinstance(one, Undecided):
            continue
        single = alone(one, chosen.history, chosen.context)
        if not isinstance(single, Undecided):
            found[engine.name] = single
    return found


def _ask(
    model: Chosen, history: Series, truth: Values, origins: Ints, leads: Sequence[int]
) -> dict[int, Tally]:
    """The model's quantiles at some leads from some origins, against what came."""
    quantile, levels = model.context.quantile, model.calibration.levels
    asked = np.repeat(origins, len(leads))
    ahead = np.tile(np.asarray(leads, dtype=np.int64), len(origins))
    inside = asked + ahead - 1 < len(truth)
    asked, ahead = asked[inside], ahead[inside]
    came = truth[asked + ahead - 1]
    known = np.isfinite(came)
    asked, ahead, came = asked[known], ahead[known], came[known]
    if not len(came):
        return {}
    values = model.quantiles(history, asked, ahead)
    median, upper = values[levels.index(0.5)], values[levels.index(quantile)]
    return {
        int(lead): Tally.of(came[at], median[at], upper[at], quantile)
        for lead in np.unique(ahead)
        for at in [ahead == lead]
    }


def upper_loss(model: Chosen, history: Series, origins: Ints, lead: int) -> float:
    """The pinball loss at the quantile in use, summed over origins of one history."""
    found = _ask(model, history, history.values, origins, [lead])
    return found[lead].upper_loss if found else 0.0
