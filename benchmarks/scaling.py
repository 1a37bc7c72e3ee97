"""Foretide against other autoscalers on real demand, at equal cost and at equal violations.

    python benchmarks/scaling.py --json out/scaling.json --picture out/scaling.png

Each trace is played, walk-forward, under HPA, KEDA, a seasonal offset, PHPA's Holt-Winters, Prophet
only, Foretide (the operator's own decision) and an oracle (a perfect forecast under the same
decision and delays), each swept over the same target utilisations, so that curves of cost against
violations can be read. How the target enters each of them is told in
`forecasting/foretide/forecasting/simulation/policies.py`.

Rules: one replica safely carries so much that the trace's 0.999 quantile needs 50; 2 replicas at
least; under-provisioned means demand > ready replicas x safe load; the first quarter of a trace, at
least two days, is history only. Traces with steps over 60 s are held, not interpolated, and are
reported outside the summary. All models are fitted anew every two days, on two weeks.

The default run decides once a minute, tries 12 targets, and plays 30 days with one of the
delays of what is outside the summary; `--full` decides every 15 s, with pods' delays that vary by
20 % under three seeds, and leaves out nothing.

The JSON holds `summary` (what each field means is told in `simulation/summary.py`), `bars`,
`comparison` (the summary's figures case by case) and `cases`: for each trace, delay and policy the
figures at the policy's usual target, and `curve`, the same for each target. What is outside the
summary says `"in_summary": false`. The same input gives the same JSON.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.telling import (  # noqa: E402
    TRACES_HELP,
    console_of_a_benchmark,
    load_all,
    show_summary,
    write_json,
)
from foretide.forecasting.backtest.contest import (  # noqa: E402
    DAY,
    TARGETS,
    Contest,
    Contestant,
    Outcome,
    case,
    curves,
    history_needed,
    usual_target,
)
from foretide.forecasting.backtest.csv_file import BadDemand, read_csv  # noqa: E402
from foretide.forecasting.backtest.pool import WorkFailed, work  # noqa: E402
from foretide.forecasting.backtest.units import units  # noqa: E402
from foretide.forecasting.simulation.curves import Curve  # noqa: E402
from foretide.forecasting.simulation.summary import (  # noqa: E402
    BARS,
    USUAL,
    figures,
    passed,
    summarize,
)
from foretide.forecasting.simulation.trace import Trace  # noqa: E402
from foretide.operator.api.fields import parse_duration  # noqa: E402
from foretide.operator.commands.progress import Bar  # noqa: E402
from sandbox.traces import load_trace  # noqa: E402

DELAYS = "1m,3m,5m,10m,15m"
# Close together where the curves are steepest: HPA's violations at 70 % are met at 80 to 90 %.
FEWER_TARGETS = (1.0, 0.9, 0.875, 0.85, 0.825, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.4)
# Outside the summary, unless --full: so many days, and this one of the delays (seconds).
COARSE_DAYS = 30
COARSE_DELAYS = (600.0,)
LEAST_PLAYED = DAY


@dataclass(frozen=True)
class Thoroughness:
    """How much of everything."""

    period: float
    jitter: float
    seeds: tuple[int, ...]
    targets: tuple[float, ...]
    cut: bool


DEFAULT = Thoroughness(60.0, 0.0, (0,), FEWER_TARGETS, cut=True)
ALL_TARGETS = tuple(sorted({*TARGETS, *FEWER_TARGETS}, reverse=True))
FULL = Thoroughness(15.0, 0.2, (0, 1, 2), ALL_TARGETS, cut=False)


def load(source: "str | Path") -> Trace:
    """One trace: a name of the package's, or a file.

    Raises:
        BadDemand, TraceError, ValueError: it cannot be used.
    """
    read: Any = load_trace(source) if isinstance(source, str) else read_csv(source)
    trace = Trace.of(read.name, read.times, read.values)
    if trace.days * DAY < history_needed(trace) + LEAST_PLAYED:
        raise BadDemand(f"{source} has {trace.days:.1f} days, three are needed")
    return trace


def contest_of(trace: Trace, delays: tuple[float, ...], how: Thoroughness) -> Contest:
    """What is played on a trace."""
    if trace.coarse and how.cut:
        shorter = trace.demand.between(trace.demand.start, trace.demand.start + COARSE_DAYS * DAY)
        trace = replace(trace, demand=shorter)
        delays = tuple(delay for delay in delays if delay in COARSE_DELAYS) or delays[:1]
    return Contest(
        trace,
        start=trace.demand.start + history_needed(trace),
        delays=delays,
        targets=how.targets,
        period=how.period,
        jitter=how.jitter,
        seeds=how.seeds,
    )


def results(contests: Sequence[Contest], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All figures, as they go into the JSON."""
    coarse = {contest.trace.name: contest.trace.coarse for contest in contests}
    drawn = curves(outcomes)
    compared = {
        key: case(*key, by_policy)
        for key, by_policy in drawn.items()
        if {Contestant.HPA, Contestant.OFFSET, Contestant.ORACLE} <= by_policy.keys()
    }
    summary = summarize([one for (name, _), one in compared.items() if not coarse[name]])
    return {
        "summary": summary,
        "bars": {name: {"bar": BARS[name][1], "met": met} for name, met in passed(summary).items()},
        "traces": [_described(contest) for contest in contests],
        "comparison": [
            {**asdict(figures(one)), "in_summary": not coarse[one.trace]}
            for one in compared.values()
        ],
        "cases": [
            {
                "trace": trace,
                "delay_s": delay,
                "policy": policy,
                "in_summary": not coarse[trace],
                **_usual(outcomes, trace, delay, policy, by_policy),
            }
            for (trace, delay), by_policy in drawn.items()
            for policy in by_policy
        ],
    }


def _described(contest: Contest) -> dict[str, Any]:
    trace = contest.trace
    return {
        "name": trace.name,
        "in_summary": not trace.coarse,
        "days": round(trace.days, 3),
        "played_days": round(contest.days, 3),
        "step_s": trace.demand.step,
        "per_replica": trace.per_replica,
        "delays_s": list(contest.delays),
        "targets": list(contest.targets),
        "period_s": contest.period,
        "jitter": contest.jitter,
        "seeds": len(contest.seeds),
    }


def _usual(
    outcomes: Sequence[Outcome],
    trace: str,
    delay: float,
    policy: Contestant,
    by_policy: dict[Contestant, Curve],
) -> dict[str, Any]:
    """The figures at the usual target and for all targets."""
    mine = [one for one in outcomes if (one.trace, one.delay, one.policy) == (trace, delay, policy)]
    curve = [{"target": one.utilization, **_rounded(one.score.figures())} for one in mine]
    usual = next(entry for entry in curve if entry["target"] == usual_target(policy))
    same_cost = by_policy[Contestant.HPA].at(USUAL).pod_minutes
    under = round(by_policy[policy].under_at(same_cost), 6)
    return {**usual, "under_at_hpa_cost_pct": under, "curve": curve}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}


def show(found: dict[str, Any], console: Console) -> None:
    """Tables for people."""
    table = Table(title="Each policy at its usual target; beside it, what HPA's cost would buy")
    for name in ("trace", "delay", "policy", "target"):
        table.add_column(name, justify="left" if name in ("trace", "policy") else "right")
    for name in ("under %", "unserved %", "pod-minutes", "of HPA's", "events/day", "under % at"):
        table.add_column(name, justify="right")
    before = None
    hpa = {
        (one["trace"], one["delay_s"]): one["pod_minutes"]
        for one in found["cases"]
        if one["policy"] == Contestant.HPA
    }
    for one in found["cases"]:
        key = one["trace"], one["delay_s"]
        if key != before and before is not None:
            table.add_section()
        before = key
        table.add_row(
            one["trace"] if one["in_summary"] else f"({one['trace']})",
            f"{one['delay_s'] / 60:g} min",
            one["policy"],
            f"{one['target']:g}",
            f"{one['under_pct']:.3f}",
            f"{one['unserved_pct']:.4f}",
            f"{one['pod_minutes']:,.0f}",
            f"{one['pod_minutes'] / hpa[key]:.3f}",
            f"{one['scale_events_per_day']:.0f}",
            f"{one['under_at_hpa_cost_pct']:.3f}",
        )
    console.print(table)
    console.print("In brackets: steps over 60 s, outside the summary.")
    signs = {name: "≤" if highest else "≥" for name, (highest, _) in BARS.items()}
    show_summary(found, signs, console)


def play(contests: Sequence[Contest], jobs: int) -> list[Outcome]:
    """All the work, with a progress bar."""
    with Bar(every=30.0) as tell:
        return work(units(contests), jobs=jobs, progress=tell)


def main() -> int:
    """Run the benchmark; returns the exit status."""
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
    parser.add_argument(
        "--delays", default=DELAYS, help="how long pods take to become ready (default: %(default)s)"
    )
    parser.add_argument("--full", action="store_true", help="all of everything; takes hours")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the curves here")
    options = parser.parse_args()
    console = console_of_a_benchmark()
    try:
        delays = tuple(float(parse_duration(text)) for text in options.delays.split(","))
    except ValueError as error:
        parser.error(f"--delays: {error}")
    began = time.monotonic()
    how = FULL if options.full else DEFAULT
    loaded = load_all(options.traces, load, console)
    traces = [replace(trace, name=name) for name, trace in loaded.items()]
    contests = [contest_of(trace, delays, how) for trace in traces]
    try:
        outcomes = play(contests, options.jobs)
    except WorkFailed as error:
        raise SystemExit(str(error)) from None
    found = results(contests, outcomes)
    show(found, console)
    console.print(f"{(time.monotonic() - began) / 60:.1f} min with {options.jobs} processes")
    if options.json:
        write_json(found, options.json)
    if options.picture or options.json:
        from foretide.forecasting.backtest.picture import draw

        draw(curves(outcomes), options.picture or options.json.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
