"""What `foretide backtest` plays: the demand that its options name, and the load of a replica."""

import argparse
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from .commands.telling import Refused

if TYPE_CHECKING:
    from foretide.forecasting.backtest.csv_file import Samples
    from foretide.forecasting.prometheus import PrometheusSource
    from foretide.forecasting.simulation.trace import Trace

_DAY = 86_400.0
_LONGEST = 3_600.0
# Of history, where nobody says: what Prometheus keeps as a rule, and as much again.
_DAYS = 30.0


def trace_of(options: argparse.Namespace) -> "Trace":
    """Demand, and what a replica carries of it.

    Raises:
        Refused, BadDemand, ConfigurationError: the options do not say so, or it cannot be had.
    """
    from foretide.forecasting.simulation.trace import PEAK_REPLICAS, Trace

    lag = seconds("--metric-lag", options.metric_lag)
    scrape = seconds("--scrape-interval", options.scrape_interval)
    per_replica = _quantity(options.per_replica)
    samples = _samples(options)
    for note in (*samples.notes, *_too_coarse(samples, options)):
        print(f"Note: {note}", file=sys.stderr)
    try:
        trace = Trace.of(samples.name, samples.times, samples.values, lag=lag, scrape=scrape)
    except ValueError as error:
        raise Refused(f"{samples.name}: {error}") from None
    highest = PEAK_REPLICAS * trace.per_replica
    if per_replica is None:
        raise Refused(
            "--per-replica is missing: how much demand one replica carries safely, as a load test "
            f"would tell. Demand reaches {highest:.4g} here (its 0.999 quantile); "
            f"--per-replica {trace.per_replica:.3g} would make that {PEAK_REPLICAS} replicas"
        )
    if highest <= per_replica * options.min_replicas:
        print(
            f"Note: {options.min_replicas} replicas nearly always carry this demand, so there is "
            "little to scale: is --per-replica right?",
            file=sys.stderr,
        )
    return replace(trace, per_replica=per_replica)


def _too_coarse(samples: "Samples", options: argparse.Namespace) -> list[str]:
    """A note where a delay is over before the next sample: what it does to users cannot be seen."""
    import numpy as np

    from foretide.forecasting.backtest.csv_cells import span
    from foretide.forecasting.simulation.trace import usual_step

    if len(samples.times) < 2:
        return []
    step = usual_step(np.asarray(samples.times))
    shortest = min(delays(options))
    if step <= shortest:
        return []
    return [
        f"there is a sample each {span(step)}: what happens in between, while pods take "
        f"{span(shortest)} to become ready, cannot be seen; finer demand tells more"
    ]


def _samples(options: argparse.Namespace) -> "Samples":
    """Demand as it was recorded."""
    from foretide.forecasting.backtest.csv_file import read_csv

    given = [name for name in ("csv", "prometheus", "config") if getattr(options, name)]
    if len(given) != 1:
        raise Refused("give one of --csv FILE, --prometheus URL and --config FILE")
    if options.csv:
        if options.query:
            raise Refused("--query belongs to --prometheus or --config")
        found = read_csv(
            options.csv,
            time_column=options.time_column,
            value_column=options.column,
            zone=options.time_zone,
        )
        return found if options.days is None else found.last(options.days * _DAY)
    if not (options.query or "").strip():
        raise Refused("--query is missing: PromQL that answers one number, such as sum(rate(…))")
    from foretide.forecasting.backtest.prometheus_history import read_prometheus

    source = _source(options)
    days = _DAYS if options.days is None else options.days
    print(f"Asking {source.url} for {days:g} days of history …", file=sys.stderr)
    return read_prometheus(source, options.query, days=days, now=time.time())


def _source(options: argparse.Namespace) -> "PrometheusSource":
    """Raises ConfigurationError or Refused."""
    from pydantic import ValidationError

    from .settings import SourceSettings, explain, parse, read_file

    if options.prometheus:
        try:
            return SourceSettings(url=options.prometheus).to_source()
        except ValidationError as error:
            raise Refused(f"--prometheus: {explain(error).removeprefix('url: ')}") from None
    sources = parse(read_file(options.config)).sources
    if options.source not in sources:
        known = ", ".join(sorted(sources)) or "none"
        raise Refused(f"{options.config} has no source {options.source[:70]!r}; it has {known}")
    return sources[options.source].to_source()


def delays(options: argparse.Namespace) -> tuple[float, ...]:
    """The seconds of each delay that is asked for, each once.

    Raises:
        Refused: one is no duration.
    """
    parts = [part for given in options.delay or ["3m"] for part in given.split(",")]
    return tuple(dict.fromkeys(seconds("--delay", text) for text in parts))


def seconds(option: str, text: str) -> float:
    """The seconds of a duration that an option gives.

    Raises:
        Refused: it is none, or longer than an hour.
    """
    from .api.fields import parse_duration

    try:
        found = float(parse_duration(text.strip()))
    except ValueError as error:
        raise Refused(f"{option}: {error}") from None
    if found > _LONGEST:
        raise Refused(f"{option} must be an hour at the most")
    return found


def _quantity(text: str | None) -> float | None:
    from .api.fields import parse_quantity

    if text is None:
        return None
    try:
        value = float(parse_quantity(text))
    except ValueError as error:
        raise Refused(f"--per-replica: {error}") from None
    if value <= 0:
        raise Refused("--per-replica must be more than 0")
    return value
