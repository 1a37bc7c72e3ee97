"""`foretide backtest`: what each autoscaler would have done on a workload's own past."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ..backtest_demand import Refused, seconds, trace_of

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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the curves here")
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
    demand = parser.add_argument_group("demand")
    demand.add_argument(
        "--csv", type=Path, metavar="FILE", help="a file with a column of times and one of values"
    )
    demand.add_argument(
        "--column", metavar="NAME", help="the CSV's column of values, or its number"
    )
    demand.add_argument("--time-column", metavar="NAME", help="the CSV's column of times")
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
        "--time-zone",
        default="UTC",
        metavar="ZONE",
        help="whose days and weeks demand follows, such as Europe/Berlin (default: %(default)s)",
    )
    workload.add_argument("--name", default="shop", metavar="NAME", help=argparse.SUPPRESS)


def _backtest(options: argparse.Namespace) -> int:
    try:
        from foretide.forecasting.backtest.csv_file import BadDemand
        from foretide.forecasting.backtest.pool import WorkFailed

        from ..settings import ConfigurationError
    except ImportError as error:
        return _missing(error)
    try:
        contest, shown = _contest(options)
        return _play(contest, shown, options)
    except ImportError as error:
        return _missing(error)
    except (BadDemand, ConfigurationError, WorkFailed, Refused) as error:
        return _fail(str(error))
    except BrokenPipeError:
        return 0
    except OSError as error:
        return _fail(f"cannot write {error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        return 130


def _play(contest: "Contest", shown: set[float], options: argparse.Namespace) -> int:
    from foretide.forecasting.backtest import report
    from foretide.forecasting.backtest.advice import advise
    from foretide.forecasting.backtest.contest import curves
    from foretide.forecasting.backtest.pool import work
    from foretide.forecasting.backtest.units import units

    if options.picture:
        import matplotlib  # noqa: F401 tell what is missing before the work is done

    print(report.introduction(contest))
    with _Bar() as bar:
        outcomes = work(units([contest]), jobs=options.jobs, progress=bar)
    drawn = curves(outcomes)
    advices = []
    for delay in contest.delays:
        advices.append(advise(outcomes, delay, drawn[contest.trace.name, delay]))
        print(f"\nPods that take {_duration(delay)}:\n")
        print(report.table(contest, outcomes, delay, shown))
        print(f"\n{report.sentence(advices[-1], contest.days)}")
    print(f"\nSettings to begin with:\n\n{_manifest(contest, advices[0], options)}", end="")
    if options.json:
        _write(options.json, json.dumps(report.figures(contest, outcomes, advices), indent=1))
    if options.picture:
        from foretide.forecasting.backtest.picture import draw

        draw(drawn, options.picture)
    return 0


def _contest(options: argparse.Namespace) -> "tuple[Contest, set[float]]":
    """What is to be played, and the targets to show beside the usual ones."""
    from foretide.forecasting.backtest.contest import (
        TARGETS,
        Contest,
        Contestant,
        history_needed,
    )
    from foretide.forecasting.simulation.foretide import FitSettings

    shown = _targets(options.target_utilization)
    delays = tuple(dict.fromkeys(seconds("--delay", text) for text in _delays(options)))
    zone = _zone(options.time_zone)
    most = _UNBOUNDED if options.max_replicas is None else options.max_replicas
    if not 1 <= options.min_replicas <= most:
        raise Refused("--min-replicas must be 1 at least, and --max-replicas no less than that")
    if (options.days is not None and options.days <= 0) or options.jobs < 1:
        raise Refused("--days and --jobs must be more than 0")
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
        delays=delays,
        targets=tuple(sorted(targets, reverse=True)),
        contestants=tuple(one for one in Contestant if one not in left_out),
        min_replicas=options.min_replicas,
        max_replicas=most,
        fits=FitSettings(zone=zone),
    )
    return contest, shown


def _manifest(contest: "Contest", advice: "Advice", options: argparse.Namespace) -> str:
    """A PredictiveScaler with the advised settings."""
    import yaml

    metric = {
        "name": "demand",
        "query": options.query or "PUT THE QUERY HERE THAT THE FILE WAS RECORDED WITH",
        "perReplica": _plain(contest.trace.per_replica),
        "targetUtilization": advice.utilization,
    }
    if options.config and options.source != "default":
        metric["source"] = options.source
    # A quarter more than was ever wanted: growth must not end at a limit that nobody remembers.
    most = max(contest.min_replicas + 1, round(advice.ours.most_replicas * 1.25))
    forecast = {"leadTime": _duration(advice.delay)}
    if contest.fits.zone != "UTC":
        forecast["timeZone"] = contest.fits.zone
    manifest = {
        "apiVersion": "foretide.dev/v1alpha1",
        "kind": "PredictiveScaler",
        "metadata": {"name": options.name},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": options.name},
            "minReplicas": contest.min_replicas,
            "maxReplicas": options.max_replicas or most,
            "mode": "Recommend",
            "metrics": [metric],
            "forecast": forecast,
        },
    }
    return str(yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=100))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def _targets(text: str | None) -> set[float]:
    try:
        found = {float(part) for part in (text or "").split(",") if part.strip()}
    except ValueError:
        found = {0.0}
    if not all(0 < target <= 1 for target in found):
        raise Refused("--target-utilization wants shares of 1, such as 0.8,0.7,0.6")
    return found


def _delays(options: argparse.Namespace) -> list[str]:
    return [part for given in options.delay or ["3m"] for part in given.split(",")]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Refused(f"--time-zone: {name[:70]!r} is not an IANA time zone") from None
    return name


def _plain(number: float) -> float | int:
    return int(number) if number == int(number) else number


def _duration(seconds: float) -> str:
    from ..api.fields import format_duration

    return format_duration(seconds)


class _Bar:
    """A progress bar on a terminal; nothing elsewhere."""

    _WIDTH = 30

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> "_Bar":
        return self

    def __call__(self, done: int, total: int, label: str) -> None:
        if self._shown:
            full = self._WIDTH * done // max(1, total)
            bar = "#" * full + "." * (self._WIDTH - full)
            print(f"\r[{bar}] {done / max(1, total):4.0%}  {label}\033[K", end="", file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _missing(error: ImportError) -> int:
    extra = " matplotlib" if error.name == "matplotlib" else " 'foretide[operator]'"
    return _fail(f"{error.name} is not installed: pip install{extra}")


def _fail(message: str) -> int:
    print(f"foretide: {message}", file=sys.stderr)
    return 2
