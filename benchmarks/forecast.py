"""How good the forecasts are: each model, and the choice among them, walk-forward on real traces.

    python benchmarks/forecast.py --json out/forecast.json

Along each trace, after its first quarter (two days at least), everything is fitted anew some times,
each time to what was known then, and asked during the day after it for the quantiles of demand 5,
15, 60 minutes and 24 hours ahead; horizons shorter than a trace's step are left out, and steps
under a minute become minutes (their peaks). All models, seasonal-naive too, are calibrated in the
same way. The models that `Auto` chooses among are asked at every fit; the others, which cost more,
at every second one, and are compared with seasonal-naive at the same.

Fields of the JSON's `summary`, all of the choice:
  worse_than_seasonal_naive      traces on which its pinball loss, as a share of seasonal-naive's
                                 and averaged over horizons, is above 1 at the median or at the
                                 quantile in use
  pinball_ratio_to_naive_median  that share, averaged over both quantiles; median over traces and
                                 horizons
  coverage_error_pp              by how much the share of values up to the quantile in use misses
                                 its name; mean over traces and horizons
  fit_predict_cpu_s_p95          CPU seconds for all that the operator's worker makes of 14 days at
                                 1 min (cleaning, both forecasts, the plan), and for a prediction
  holiday_pinball_reduction      NYC taxi, 24 h ahead, the quantile in use: what knowing the
                                 holidays takes off the pinball loss of the weeks of Thanksgiving,
                                 Christmas, New Year and Martin Luther King Day together
and for those who look closer: `worse_cases` (traces × horizons at which the share is above 1, both
quantiles together), `coverage_error_pp_worst_trace`. `cases` has WAPE (of the median), pinball
losses (as shares of mean demand), and coverage, by trace, horizon and model.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.telling import (  # noqa: E402
    TRACES_HELP,
    console_of_a_benchmark,
    load_all,
    show_summary,
    write_json,
)
from foretide.forecasting.backtest.csv_file import BadDemand, read_csv  # noqa: E402
from foretide.forecasting.cleaning import clean  # noqa: E402
from foretide.forecasting.demand import Undecided  # noqa: E402
from foretide.forecasting.engines.accuracy import (  # noqa: E402
    CHOICE,
    Tallies,
    Tally,
    Trial,
    add,
    beside,
    trial,
    upper_loss,
)
from foretide.forecasting.engines.base import Context  # noqa: E402
from foretide.forecasting.engines.catalogue import ALL, AUTO, engines_named  # noqa: E402
from foretide.forecasting.engines.choice import MOST_POINTS, choose  # noqa: E402
from foretide.forecasting.engines.walk_forward import head, tail  # noqa: E402
from foretide.forecasting.events.learning import learn  # noqa: E402
from foretide.forecasting.events.sources import HolidaySource, expand  # noqa: E402
from foretide.forecasting.fits import learn_from  # noqa: E402
from foretide.forecasting.lookahead.model import LookaheadModel  # noqa: E402
from foretide.forecasting.lookahead.plan import Plan  # noqa: E402
from foretide.forecasting.past_demand import PastDemand  # noqa: E402
from foretide.forecasting.prometheus import PrometheusSource  # noqa: E402
from foretide.forecasting.series import Series, Values  # noqa: E402
from foretide.forecasting.usual import usual_demand  # noqa: E402
from foretide.forecasting.worker import FitReport, FitRequest, LookaheadNeed  # noqa: E402
from foretide.operator.commands.progress import Bar  # noqa: E402
from sandbox.traces import load_trace  # noqa: E402

DAY, MINUTE = 86_400.0, 60.0
HORIZONS = {"5m": 300.0, "15m": 900.0, "60m": 3_600.0, "24h": DAY}
QUANTILE = Context().quantile
# A loss of a millionth of mean demand is none: constant demand is forecast to the last digit.
NOTHING = 1e-6
# Fits along each trace.
FITS, FULL_FITS, CPU_FITS = 16, 64, 4
HOLIDAY_TRACE = "nyc_taxi"
WEEKS = ((2014, 11, 24), (2014, 12, 22), (2014, 12, 29), (2015, 1, 19))
BARS: dict[str, tuple[str, float]] = {
    "worse_than_seasonal_naive": ("≤", 0),
    "pinball_ratio_to_naive_median": ("≤", 0.9),
    "coverage_error_pp": ("≤", 2),
    "fit_predict_cpu_s_p95": ("≤", 5),
    "holiday_pinball_reduction": ("≥", 0.2),
}


@dataclass(frozen=True)
class Trace:
    """Demand, in steps of a minute or more."""

    name: str
    series: Series

    @property
    def first(self) -> int:
        """The index from which on it is forecast."""
        return max(len(self.series) // 4, round(2 * DAY / self.series.step))


def main() -> int:
    """Run the benchmark; returns the exit status."""
    options = arguments()
    console = console_of_a_benchmark()
    began = time.monotonic()
    loaded = load_all(options.traces, load, console)
    traces = [replace(trace, name=name) for name, trace in loaded.items()]
    tallies, reduction = run(traces, FULL_FITS if options.full else FITS, options.jobs)
    found = results(traces, tallies, fit_seconds(traces, console), reduction)
    show(found, console)
    console.print(f"{(time.monotonic() - began) / 60:.1f} min with {options.jobs} processes")
    if options.json:
        write_json(found, options.json)
    return 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--traces",
        nargs="+",
        default=[],
        metavar="DIR_OR_FILE",
        help=TRACES_HELP,
    )
    parser.add_argument("--full", action="store_true", help="four times as many fits")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    return parser.parse_args()


def load(source: str | Path) -> Trace:
    """One trace: a name of the package's, or a file.

    Raises:
        BadDemand, TraceError, ValueError: it cannot be used.
    """
    read: Any = load_trace(source) if isinstance(source, str) else read_csv(source)
    times = np.asarray(read.times)
    step = max(MINUTE, float(np.median(np.diff(times))))
    trace = Trace(read.name, Series.from_samples(times, read.values, step))
    if len(trace.series) * step < 3 * DAY + step or trace.first >= len(trace.series):
        days = len(trace.series) * step / DAY
        raise BadDemand(f"{source} has {days:.1f} days, more than three are needed")
    if not leads(step):
        raise BadDemand(f"{source} has steps of {step:g} s, in which no horizon is a whole number")
    return trace


def run(traces: Sequence[Trace], fits: int, jobs: int) -> tuple[dict[str, Tallies], float]:
    """All fits, with a progress bar: tallies by trace, and what knowing holidays is worth."""
    taxi = [trace for trace in traces if Path(trace.name).name == HOLIDAY_TRACE]
    days = [(taxi[0], week, day) for week in range(len(WEEKS)) for day in range(7)] if taxi else []
    losses = np.zeros(2)
    tallies: dict[str, Tallies] = {trace.name: {} for trace in traces}
    with (
        Bar(every=30.0) as tell,
        ProcessPoolExecutor(jobs, get_context("spawn")) as pool,
    ):
        asked: dict[Future[Any], str] = {}
        for trace in traces:
            for one in trials(trace, fits):
                asked[pool.submit(trial, one)] = trace.name
        holidays = {pool.submit(holiday_losses, *day) for day in days}
        total = len(asked) + len(holidays)
        for done, future in enumerate(as_completed([*asked, *holidays]), 1):
            if future in holidays:
                losses += future.result()
            else:
                add(tallies[asked[future]], future.result())
            tell(done, total, asked.get(future, HOLIDAY_TRACE))
    off, on = losses
    return tallies, 1 - on / off if off > 0 else math.nan


def trials(trace: Trace, fits: int) -> Iterator[Trial]:
    """Fits spread evenly over a trace, each asked during the day after it."""
    series = trace.series
    day = round(DAY / series.step)
    at = np.unique(np.linspace(trace.first, len(series) - 1, fits + 1).astype(int)).tolist()
    for index, (first, after) in enumerate(pairwise(at)):
        yield Trial(
            head(series, min(len(series), after + 2 * day)),
            first,
            min(after, first + day),
            tuple(leads(series.step).values()),
            ALL if index % 2 == 0 else AUTO,
        )


def leads(step: float) -> dict[str, int]:
    """The horizons that a trace with this step has, in steps."""
    return {
        name: round(seconds / step)
        for name, seconds in HORIZONS.items()
        if seconds >= step and abs(seconds / step - round(seconds / step)) < 1e-9
    }


def holiday_losses(trace: Trace, week: int, day: int) -> Values:
    """Pinball losses of a day, 24 h ahead, without and with the calendar (shape: 2).

    The fit is to what was known at the midnight before the day before.
    """
    series = trace.series
    lead = round(DAY / series.step)
    begins = datetime(*WEEKS[week], tzinfo=UTC).timestamp() + day * DAY
    first = round((begins - series.start) / series.step)
    origins = first - lead + 1 + np.arange(lead)
    history = tail(head(series, int(origins[0])), MOST_POINTS)
    # The trace's clock is New York's own, and its file says UTC.
    source = HolidaySource("holidays", "US", "NY")
    calendar = expand([source], series.start - DAY, series.end + DAY, "UTC").calendar
    effects = learn(history, usual_demand(history, "UTC"), calendar, quantile=QUANTILE)
    cleaned = clean(history, calendar=calendar).series
    losses = []
    for context in (Context(), Context(calendar=calendar, effects=effects)):
        chosen = choose(engines_named(AUTO), cleaned, context)
        if isinstance(chosen, Undecided):
            raise SystemExit(f"{trace.name}: {chosen.message}")
        losses.append(upper_loss(chosen, series, origins, lead))
    return np.array(losses)


def fit_seconds(traces: Sequence[Trace], console: Console) -> list[float]:
    """CPU seconds of all that a worker learns of 14 days at 1 min, and of a forecast by each part.

    Where no trace has as much, the finest is held, and repeated until it has.
    """
    length = round(14 * DAY / MINUTE)
    long = [
        trace for trace in traces if trace.series.step == MINUTE and len(trace.series) >= length
    ]
    if not long:
        finest = min(traces, key=lambda trace: trace.series.step)
        held = np.repeat(finest.series.values, round(finest.series.step / MINUTE))
        long = [Trace(finest.name, Series(0.0, MINUTE, np.resize(held, length)))]
    learned(head(long[0].series, length // 4))
    seconds = []
    for trace in long:
        for end in np.linspace(length, len(trace.series), CPU_FITS).astype(int):
            history = tail(head(trace.series, int(end)), length)
            began = time.process_time()
            model = learned(history).lookahead
            if isinstance(model, LookaheadModel):
                model.forecast(history, Plan.at_quantile(QUANTILE, 0.1))
                seconds.append(time.process_time() - began)
    console.print(f"{len(seconds)} fits to 14 days at 1 min timed")
    return seconds


def learned(history: Series) -> FitReport:
    """What the operator's worker makes of a history by the minute."""
    grid = history.coarser(300.0)
    per_replica = float(np.nanquantile(history.values, 0.999)) / 50
    need = LookaheadNeed(4, 3, per_replica, min_replicas=2, target_utilization=0.7)
    request = FitRequest(
        PrometheusSource("http://localhost"),
        query="",
        now=history.end,
        history=history.end - history.start,
        step=grid.step,
        horizon=DAY,
        quantile=QUANTILE,
        min_history=DAY,
        lookahead=need,
    )
    return learn_from(PastDemand(history, history, grid, grid, grid, grid), request)


def results(
    traces: Sequence[Trace],
    tallies: dict[str, Tallies],
    seconds: list[float],
    reduction: float,
) -> dict[str, Any]:
    """All figures, as they go into the JSON."""
    cases = [case for trace in traces for case in cases_of(trace, tallies[trace.name])]
    chosen = [case for case in cases if case["model"] == CHOICE]
    by_trace = [[case for case in chosen if case["trace"] == trace.name] for trace in traces]
    worse = [
        any(np.mean([case[name] for case in one]) > 1 for name in ("ratio_median", "ratio_upper"))
        for one in by_trace
        if one
    ]
    shares = [(case["ratio_median"] + case["ratio_upper"]) / 2 for case in chosen]
    off = [100 * abs(case["coverage"] - QUANTILE) for case in chosen]
    errors = [
        100 * abs(float(np.mean([case["coverage"] for case in one])) - QUANTILE)
        for one in by_trace
        if one
    ]
    summary: dict[str, float] = {
        "worse_than_seasonal_naive": sum(worse),
        "pinball_ratio_to_naive_median": float(np.median(shares)),
        "coverage_error_pp": float(np.mean(off)),
        "fit_predict_cpu_s_p95": float(np.quantile(seconds, 0.95)) if seconds else math.nan,
        "holiday_pinball_reduction": reduction,
        "worse_cases": sum(share > 1 for share in shares),
        "coverage_error_pp_worst_trace": max(errors),
        "traces": len(traces),
        "quantile": QUANTILE,
    }
    met = {
        name: None if not math.isfinite(summary[name]) else holds(summary[name], sign, bar)
        for name, (sign, bar) in BARS.items()
    }
    bars = {
        name: {"bar": bar, "met": None if met[name] is None else bool(met[name])}
        for name, (_, bar) in BARS.items()
    }
    return {"summary": summary, "bars": bars, "cases": cases}


def holds(value: float, sign: str, bar: float) -> bool:
    """Whether a bar is met."""
    return bool(value <= bar if sign == "≤" else value >= bar)


def cases_of(trace: Trace, tallies: Tallies) -> Iterator[dict[str, Any]]:
    """The figures of a trace by horizon and model."""
    for horizon, lead in leads(trace.series.step).items():
        for model in (*ALL, CHOICE):
            if (lead, model) not in tallies:
                continue
            tally = tallies[lead, model]
            own, naive = tally.figures(), tallies.get((lead, beside(model)), Tally()).figures()
            yield {
                "trace": trace.name,
                "horizon": horizon,
                "model": model,
                "forecasts": int(tally.count),
                **own,
                "ratio_median": ratio(own["pinball_median"], naive["pinball_median"]),
                "ratio_upper": ratio(own["pinball_upper"], naive["pinball_upper"]),
            }


def ratio(loss: float, yardstick: float) -> float:
    """One loss ÷ another, both as shares of mean demand; two that are next to none are equal."""
    if max(loss, yardstick) < NOTHING:
        return 1.0
    return loss / yardstick if yardstick > 0 else math.inf


def show(found: dict[str, Any], console: Console) -> None:
    """Tables for people."""
    models = [*ALL, CHOICE]
    table = Table(
        title="Pinball loss ÷ seasonal-naive's: median / quantile in use (its coverage, %)"
    )
    table.add_column("trace")
    table.add_column("ahead", justify="right")
    for model in models[1:]:
        table.add_column(model, justify="right")
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for case in found["cases"]:
        rows.setdefault((case["trace"], case["horizon"]), {})[case["model"]] = (
            f"{case['ratio_median']:.2f}/{case['ratio_upper']:.2f} {100 * case['coverage']:.0f}"
        )
    before = None
    for (trace, horizon), row in rows.items():
        if before not in (None, trace):
            table.add_section()
        table.add_row(
            trace if trace != before else "", horizon, *(row.get(name, "-") for name in models[1:])
        )
        before = trace
    console.print(table)
    show_summary(found, {name: sign for name, (sign, _) in BARS.items()}, console)


if __name__ == "__main__":
    sys.exit(main())
