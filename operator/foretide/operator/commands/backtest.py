"""`foretide backtest`: what each autoscaler would have done on a workload's own past."""

import argparse
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ..backtest_demand import delays, trace_of
from .progress import Bar
from .running import running
from .telling import Refused, fail

if TYPE_CHECKING:
    from foretide.forecasting.backtest.advice import Advice
    from foretide.forecasting.backtest.contest import Contest

_DESCRIPTION = """\
Replay a workload's demand under HPA, KEDA, a seasonal offset, PHPA's Holt-Winters, Prophet only,
Foretide and an oracle (a perfect forecast), and compare what they cost and for how long replicas
would have been too few. Nothing needs to be installed for it, and nothing is changed. Models see
only what was known at the time; the first quarter of the history, at least two days, is history
only.
"""
_FILES = """\
A CSV file has commas, semicolons or tabs between its columns, and a header or none. Times are
ISO 8601, 28.05.2026 20:25, 5/28/2026 8:25 PM, or Unix seconds (or milli-, micro-, nanoseconds);
the oldest comes first or last. Values are numbers without a unit. An empty value is a gap, and so
is a missing line.
"""
_EXAMPLES = """\
examples:
  foretide backtest --csv demand.csv --per-replica 100 --delay 3m
  foretide backtest --prometheus http://localhost:9090 --per-replica 100 --delay 90s --delay 5m \\
      --query 'sum(rate(http_requests_total{app="shop"}[2m]))' --picture shop.png
"""
_DAY = 86_400.0
# How much is played at the most with --quick, and how much must be left to play (seconds).
_QUICK = 4 * _DAY
_LEAST = _DAY / 2
_QUICK_TARGETS = (1.0, 0.85, 0.7, 0.55)
_UNBOUNDED = 100_000
_MOST_DAYS = 3_650


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `backtest` to the commands of `foretide`."""
    parser = commands.add_parser(
        "backtest",
        help="compare autoscalers on a workload's past, before anything is installed",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_demand(parser)
    _add_workload(parser)
    parser.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE.yaml",
        help="write the settings here, and not to standard output",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="draw the curves here (or .svg, .pdf)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="the last four days, fewer targets, without Prophet and PHPA: half a minute or so",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=max(1, (os.cpu_count() or 2) - 1),
        metavar="N",
        help="processes at the most (default: %(default)s)",
    )
    parser.set_defaults(run=_backtest)


def _add_demand(parser: argparse.ArgumentParser) -> None:
    demand = parser.add_argument_group("demand", _FILES)
    demand.add_argument(
        "--csv", type=Path, metavar="FILE", help="a file with a column of times and one of values"
    )
    demand.add_argument(
        "--column", metavar="NAME", help="the CSV's column of values, or its number from 1"
    )
    demand.add_argument("--time-column", metavar="NAME", help="the same for its column of times")
    demand.add_argument("--prometheus", metavar="URL", help="a Prometheus to ask instead")
    demand.add_argument(
        "--config", type=Path, metavar="FILE", help="or the operator's configuration, with …"
    )
    demand.add_argument(
        "--source", default="default", metavar="NAME", help="… one of its sources (%(default)s)"
    )
    demand.add_argument(
        "--query", metavar="PROMQL", help="answers one number: the demand on the whole workload"
    )
    demand.add_argument(
        "--days",
        type=float,
        metavar="N",
        help="of history (default: 30 from Prometheus, all of a file)",
    )


def _add_workload(parser: argparse.ArgumentParser) -> None:
    workload = parser.add_argument_group("workload")
    workload.add_argument(
        "--per-replica",
        metavar="QUANTITY",
        help="demand that one replica carries safely, in the unit of the demand",
    )
    workload.add_argument(
        "--min-replicas", type=int, default=2, metavar="N", help="default: %(default)s"
    )
    workload.add_argument("--max-replicas", type=int, metavar="N", help="default: no limit")
    workload.add_argument(
        "--delay",
        action="append",
        metavar="DURATION",
        help="from a change of replicas until new pods are ready; may be repeated (default: 3m)",
    )
    workload.add_argument(
        "--target-utilization",
        metavar="LIST",
        help="shares of --per-replica to show, such as 0.8,0.7,0.6",
    )
    workload.add_argument(
        "--metric-lag",
        default="0s",
        metavar="DURATION",
        help="for how long demand is not known yet (default: %(default)s)",
    )
    workload.add_argument(
        "--scrape-interval",
        default="0s",
        metavar="DURATION",
        help="how far apart Prometheus' scrapes are (default: demand is seen at once)",
    )
    workload.add_argument(
        "--time-zone",
        default="UTC",
        metavar="ZONE",
        help="whose days and weeks demand follows, and whose clock a CSV's times are by where they "
        "name no zone, such as Europe/Berlin (default: %(default)s)",
    )
    workload.add_argument(
        "--name",
        default="shop",
        metavar="NAME",
        help="the Deployment's name, for the settings (default: %(default)s)",
    )


def _mistakes() -> tuple[type[Exception], ...]:
    from foretide.forecasting.backtest.csv_file import BadDemand
    from foretide.forecasting.backtest.pool import WorkFailed

    from ..settings import ConfigurationError

    return BadDemand, ConfigurationError, WorkFailed


@running("operator", _mistakes)
def _backtest(options: argparse.Namespace) -> int:
    _check_outputs(options)
    contest, shown = _contest(options)
    return _play(contest, shown, options)


def _play(contest: "Contest", shown: set[float], options: argparse.Namespace) -> int:
    from foretide.forecasting.backtest import report
    from foretide.forecasting.backtest.advice import advise
    from foretide.forecasting.backtest.contest import curves
    from foretide.forecasting.backtest.picture import draw
    from foretide.forecasting.backtest.pool import work
    from foretide.forecasting.backtest.units import units

    print(report.introduction(contest), flush=True)
    with Bar() as bar:
        outcomes = work(units([contest]), jobs=options.jobs, progress=bar)
    drawn = curves(outcomes)
    advices = []
    for delay in contest.delays:
        advice = advise(outcomes, delay, drawn[contest.trace.name, delay])
        advices.append(advice)
        print(f"\nPods that take {report.duration(delay)}:\n")
        print(report.table(contest, outcomes, advice, shown))
        print("", *report.sentences(advice, contest.days), sep="\n")
    print(f"\n{report.legend()}")
    settings = _tell_settings(contest, advices, options)
    figures = json.dumps(report.figures(contest, outcomes, advices), indent=1) + "\n"
    return _write(
        [
            (options.manifest, lambda path: path.write_text(settings, encoding="utf-8")),
            (options.json, lambda path: path.write_text(figures, encoding="utf-8")),
            (options.picture, lambda path: draw(drawn, path)),
        ]
    )


def _tell_settings(
    contest: "Contest", advices: "Sequence[Advice]", options: argparse.Namespace
) -> str:
    """Print the settings to begin with, or where they will stand; the manifest."""
    from foretide.forecasting.backtest import report

    from .backtest_settings import manifest, next_steps

    # Pods that take longer than thought are the worse mistake.
    advice = max(advices, key=lambda one: one.delay)
    settings = manifest(contest, advice, options)
    of = f", for the longest delay ({report.duration(advice.delay)})" if len(advices) > 1 else ""
    if options.manifest:
        print(f"\nSettings to begin with{of} are in {options.manifest}.\n{next_steps(options)}")
    else:
        print(f"\nSettings to begin with{of}:\n\n{settings}\n{next_steps(options)}")
    return settings


def _contest(options: argparse.Namespace) -> "tuple[Contest, set[float]]":
    """What is to be played, and the targets to show beside the usual ones."""
    from foretide.forecasting.backtest.contest import (
        TARGETS,
        Contest,
        Contestant,
        history_needed,
    )
    from foretide.forecasting.promql import longest_range
    from foretide.forecasting.simulation.foretide import FitSettings

    from ..api.predictivescaler import OBJECT_NAME

    if not re.fullmatch(OBJECT_NAME, options.name):
        raise Refused(f"--name: {options.name[:70]!r} is not the name of a Deployment")
    shown = _targets(options.target_utilization)
    wanted = delays(options)
    zone = _zone(options.time_zone)
    most = _UNBOUNDED if options.max_replicas is None else options.max_replicas
    if not 1 <= options.min_replicas <= most:
        raise Refused("--min-replicas must be 1 at least, and --max-replicas no less than that")
    if options.days is not None and not 0 < options.days <= _MOST_DAYS:
        raise Refused(f"--days must be more than 0, and {_MOST_DAYS} at most")
    if options.jobs < 1:
        raise Refused("--jobs must be more than 0")
    trace = trace_of(options)
    start = trace.demand.start + history_needed(trace)
    if trace.demand.end - start < _LEAST:
        raise Refused(
            f"{trace.days:.1f} days of demand are too few: at least 2.5 are needed, two to learn "
            "from and the rest to play"
        )
    if options.quick:
        start = max(start, trace.demand.end - _QUICK)
    left_out = {Contestant.PHPA, Contestant.PROPHET} if options.quick else set()
    targets = {*(_QUICK_TARGETS if options.quick else TARGETS), *shown}
    contest = Contest(
        trace,
        start=start,
        delays=wanted,
        targets=tuple(sorted(targets, reverse=True)),
        contestants=tuple(one for one in Contestant if one not in left_out),
        min_replicas=options.min_replicas,
        max_replicas=most,
        fits=FitSettings(zone=zone),
        query_range=longest_range(options.query or ""),
    )
    return contest, shown


def _check_outputs(options: argparse.Namespace) -> None:
    """See that everything can be written, before minutes of work are done for it.

    Raises:
        Refused: a file cannot be written, a picture's name ends in no format, or what draws
            pictures is not there.
    """
    if options.picture:
        try:
            import matplotlib  # noqa: F401 tell what is missing before the work is done
        except ImportError:
            raise Refused("matplotlib is not installed: pip install matplotlib") from None

        from foretide.forecasting.backtest.picture import SUFFIXES

        if options.picture.suffix.lower() not in SUFFIXES:
            raise Refused(f"--picture must end in one of {', '.join(SUFFIXES)}")
    for path in (options.json, options.picture, options.manifest):
        if path is None:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            was_there = path.exists()
            path.open("ab").close()
            if not was_there:
                path.unlink()
        except OSError as error:
            raise Refused(f"cannot write {path}: {error.strerror}") from None


def _write(outputs: "Sequence[tuple[Path | None, Callable[[Path], object]]]") -> int:
    """Write all files that are asked for, whichever of them fails; the exit status."""
    status = 0
    for path, write in outputs:
        if path is None:
            continue
        try:
            write(path)
        except OSError as error:
            status = fail(f"cannot write {path}: {error.strerror}")
    return status


def _targets(text: str | None) -> set[float]:
    try:
        found = {float(part) for part in (text or "").split(",") if part.strip()}
    except ValueError:
        found = {0.0}
    if not all(0 < target <= 1 for target in found):
        raise Refused("--target-utilization wants shares of 1, such as 0.8,0.7,0.6")
    return found


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Refused(f"--time-zone: {name[:70]!r} is not an IANA time zone") from None
    return name
