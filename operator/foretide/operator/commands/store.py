"""`foretide store`: run the store, and look at what it keeps."""

import argparse
import contextlib
import csv
import logging
import sys
from pathlib import Path
from typing import IO

from foretide.store.errors import StoreRefused
from foretide.store.retention import DAY, HOUR, Retention
from foretide.store.rollups import Columns, SeriesInfo

from . import store_profiles, store_reports
from .store_where import add_database, add_where, database, opened, run, split_name
from .tables import table, time_of
from .telling import fail, missing

_LEAST_SPACE = 64 * 1024**2


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `store` to the commands of `foretide`."""
    store = commands.add_parser(
        "store",
        help="run the store of demand's history, profiles and reports, or look into it",
        description="Run the store, which keeps five-minute roll-ups of each demand series "
        "for longer than Prometheus does, profiles and reports, or look into one.",
    )
    actions = store.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_serve(actions)

    show = actions.add_parser("show", help="list the series that are kept")
    add_where(show)
    show.add_argument("resource", nargs="?", metavar="NAMESPACE/NAME", help="of this resource only")
    show.set_defaults(run=_show)

    export = actions.add_parser(
        "export",
        help="write a series as CSV",
        description="Write a series as CSV, a line for each five minutes: time (RFC 3339), value "
        "(the peak), mean, last, samples. What is not known is left empty.",
    )
    add_where(export)
    export.add_argument("resource", metavar="NAMESPACE/NAME")
    export.add_argument("--metric", metavar="NAME", help="needed where there are several")
    export.add_argument("--fingerprint", metavar="HEX", help="needed where a query has changed")
    export.add_argument("--days", type=float, metavar="N", help="the last N days only")
    export.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    export.set_defaults(run=_export)
    store_profiles.add_parser(actions)
    store_reports.add_parser(actions)


def _add_serve(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    serve = actions.add_parser(
        "serve", help="run the store", description="Run the store until it is stopped."
    )
    add_database(serve)
    serve.add_argument(
        "--token-file",
        type=Path,
        required=True,
        metavar="FILE",
        help="holds the bearer token that clients must bring along; read again at each use",
    )
    serve.add_argument(
        "--listen", default="0.0.0.0:8081", metavar="HOST:PORT", help="default: %(default)s"
    )
    serve.add_argument(
        "--keep-rollups",
        default="730d",
        metavar="DURATION",
        help="delete roll-ups that are older (default: %(default)s)",
    )
    serve.add_argument(
        "--keep-reports",
        default="365d",
        metavar="DURATION",
        help="delete reports that are older (default: %(default)s)",
    )
    serve.add_argument(
        "--keep-profiles",
        default="24h",
        metavar="DURATION",
        help="delete raw profiles that are older (default: %(default)s)",
    )
    serve.add_argument(
        "--keep-merged-profiles",
        default="30d",
        metavar="DURATION",
        help="delete merged profiles that are older (default: %(default)s)",
    )
    serve.add_argument(
        "--profile-space",
        default="4Gi",
        metavar="BYTES",
        help="delete the oldest profiles beyond it, as 500Mi, 4Gi (default: %(default)s)",
    )
    serve.add_argument("--tls-cert", type=Path, metavar="FILE", help="serve HTTPS with this (PEM)")
    serve.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key")
    serve.add_argument("--log-format", choices=("json", "text"), default="json")
    serve.add_argument("--verbose", action="store_true", help="log more")
    serve.add_argument("--port-file", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    serve.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    try:
        from foretide.store.run import ServeOptions, serve

        from ..api import fields  # noqa: F401 - is it there?
    except ImportError as error:
        return fail(missing(error, "store"))
    host, colon, port = options.listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        return fail("--listen wants HOST:PORT, for example 0.0.0.0:8081")
    if bool(options.tls_cert) != bool(options.tls_key):
        return fail("--tls-cert and --tls-key go together")
    try:
        keep = _at_least(options.keep_rollups, "--keep-rollups", DAY, "a day")
        keep_reports = _at_least(options.keep_reports, "--keep-reports", DAY, "a day")
        retention = Retention(
            raw=_at_least(options.keep_profiles, "--keep-profiles", HOUR, "an hour"),
            merged=_at_least(
                options.keep_merged_profiles, "--keep-merged-profiles", HOUR, "an hour"
            ),
            size=_space(options.profile_space),
        )
    except ValueError as error:
        return fail(str(error))
    _log(options.log_format, verbose=options.verbose)

    async def work() -> None:
        await serve(
            ServeOptions(
                database=database(options),
                token_file=options.token_file,
                host=host.removeprefix("[").removesuffix("]"),
                port=int(port),
                keep_rollups=keep,
                keep_reports=keep_reports,
                retention=retention,
                tls_cert=options.tls_cert,
                tls_key=options.tls_key,
                port_file=options.port_file,
            )
        )

    return run(work)


def _at_least(text: str, option: str, least: float, in_words: str) -> float:
    """The seconds of a duration. Raises ValueError with what to say."""
    from ..api.fields import parse_duration

    try:
        seconds = float(parse_duration(text))
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None
    if seconds < least:
        raise ValueError(f"{option} must be {in_words} at least")
    return seconds


def _space(text: str) -> int:
    """The bytes of a quantity. Raises ValueError with what to say."""
    from ..api.fields import parse_quantity

    try:
        size = float(parse_quantity(text))
    except ValueError as error:
        raise ValueError(f"--profile-space: {error}") from None
    if not _LEAST_SPACE <= size < 2**60:
        raise ValueError("--profile-space must be 64Mi at least")
    return int(size)


def _show(options: argparse.Namespace) -> int:
    async def work() -> None:
        namespace, name = split_name(options.resource) if options.resource else (None, None)
        async with opened(options) as rollups:
            found = await rollups.series(namespace, name)
        if not found:
            print("The store keeps no such series.", file=sys.stderr)
        else:
            with contextlib.suppress(BrokenPipeError):
                print(_table(found), flush=True)

    return run(work)


def _export(options: argparse.Namespace) -> int:
    async def work() -> None:
        namespace, name = split_name(options.resource)
        async with opened(options) as rollups:
            info = _only(await rollups.series(namespace, name), options)
            first = info.first if options.days is None else info.last - options.days * DAY
            columns = await rollups.read(info.key, first, info.last + 1)
        if options.output is None:
            with contextlib.suppress(BrokenPipeError):
                _write_csv(columns, sys.stdout)
                sys.stdout.flush()
        else:
            with options.output.open("w", encoding="utf-8", newline="") as file:
                _write_csv(columns, file)

    return run(work)


def _only(found: list[SeriesInfo], options: argparse.Namespace) -> SeriesInfo:
    """The one series that is meant.

    Raises:
        StoreRefused: there is none, or there are several.
    """
    wanted = [
        info
        for info in found
        if options.metric in (None, info.key.metric)
        and options.fingerprint in (None, info.key.fingerprint)
    ]
    if not wanted:
        raise StoreRefused("NoSeries", "the store keeps no such series: see `foretide store show`")
    if len(wanted) > 1:
        raise StoreRefused(
            "SeveralSeries",
            "there are several: choose with --metric and --fingerprint\n" + _table(wanted),
        )
    return wanted[0]


def _table(found: list[SeriesInfo]) -> str:
    rows = [("NAMESPACE", "NAME", "METRIC", "FINGERPRINT", "FIRST", "LAST")]
    rows += [
        (
            info.key.namespace,
            info.key.name,
            info.key.metric,
            info.key.fingerprint,
            time_of(info.first),
            time_of(info.last),
        )
        for info in found
    ]
    return table(rows)


def _write_csv(columns: Columns, file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("time", "value", "mean", "last", "samples"))
    for start, samples, *values in columns:
        mean, peak, last = ("" if value != value else f"{value:.6g}" for value in values)
        writer.writerow((time_of(start), peak, mean, last, samples))


def _log(style: str, *, verbose: bool) -> None:
    """The operator's way to log; as text where its libraries are not there."""
    try:
        from .. import logs
    except ImportError:
        logging.basicConfig(
            level=logging.DEBUG if verbose else logging.INFO,
            format="%(asctime)s %(levelname)-7s %(message)s",
        )
        return
    logs.configure(style, verbose=verbose)
