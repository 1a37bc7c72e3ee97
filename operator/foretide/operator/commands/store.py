"""`foretide store`: run the store, and look at what it keeps."""

import argparse
import asyncio
import contextlib
import csv
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from foretide.store.client import StoreAddress, StoreClient
from foretide.store.errors import StoreError, StoreRefused
from foretide.store.rollups import Columns, Rollups, SeriesInfo

from .telling import fail, missing

if TYPE_CHECKING:
    from foretide.store.database import Location

DATABASE_VARIABLE = "FORETIDE_STORE_DATABASE"
_DAY = 86_400.0


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `store` to the commands of `foretide`."""
    store = commands.add_parser(
        "store",
        help="run the store of demand's history, or look into it",
        description="Run the store, which keeps five-minute roll-ups of each demand series "
        "for longer than Prometheus does, or look into one.",
    )
    actions = store.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_serve(actions)

    show = actions.add_parser("show", help="list the series that are kept")
    _add_where(show)
    show.add_argument("resource", nargs="?", metavar="NAMESPACE/NAME", help="of this resource only")
    show.set_defaults(run=_show)

    export = actions.add_parser(
        "export",
        help="write a series as CSV",
        description="Write a series as CSV, a line for each five minutes: time (RFC 3339), value "
        "(the peak), mean, last, samples. What is not known is left empty.",
    )
    _add_where(export)
    export.add_argument("resource", metavar="NAMESPACE/NAME")
    export.add_argument("--metric", metavar="NAME", help="needed where there are several")
    export.add_argument("--fingerprint", metavar="HEX", help="needed where a query has changed")
    export.add_argument("--days", type=float, metavar="N", help="the last N days only")
    export.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    export.set_defaults(run=_export)


def _add_serve(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    serve = actions.add_parser(
        "serve", help="run the store", description="Run the store until it is stopped."
    )
    _add_database(serve)
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
    serve.add_argument("--tls-cert", type=Path, metavar="FILE", help="serve HTTPS with this (PEM)")
    serve.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key")
    serve.add_argument("--log-format", choices=("json", "text"), default="json")
    serve.add_argument("--verbose", action="store_true", help="log more")
    serve.add_argument("--port-file", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    serve.set_defaults(run=_serve)


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database",
        metavar="FILE|URL",
        help="SQLite's file, or postgresql://USER@HOST/NAME without a password",
    )
    parser.add_argument(
        "--database-file",
        type=Path,
        metavar="FILE",
        help="holds the URL, such as a mounted Secret; "
        f"or the variable {DATABASE_VARIABLE} does: other users see a command line",
    )


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help="of a store that runs")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="holds its token")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="the CA to trust for it")
    _add_database(parser)


def _serve(options: argparse.Namespace) -> int:
    try:
        from foretide.store.run import ServeOptions, serve

        from ..api.fields import parse_duration
    except ImportError as error:
        return fail(missing(error, "store"))
    host, colon, port = options.listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        return fail("--listen wants HOST:PORT, for example 0.0.0.0:8081")
    if bool(options.tls_cert) != bool(options.tls_key):
        return fail("--tls-cert and --tls-key go together")
    try:
        keep = float(parse_duration(options.keep_rollups))
    except ValueError as error:
        return fail(f"--keep-rollups: {error}")
    if keep < _DAY:
        return fail("--keep-rollups must be a day at least")
    _log(options.log_format, verbose=options.verbose)

    async def run() -> None:
        await serve(
            ServeOptions(
                database=_database(options),
                token_file=options.token_file,
                host=host.removeprefix("[").removesuffix("]"),
                port=int(port),
                keep_rollups=keep,
                tls_cert=options.tls_cert,
                tls_key=options.tls_key,
                port_file=options.port_file,
            )
        )

    return _run(run)


def _show(options: argparse.Namespace) -> int:
    async def run() -> None:
        namespace, name = _resource(options.resource) if options.resource else (None, None)
        async with _opened(options) as rollups:
            found = await rollups.series(namespace, name)
        if not found:
            print("The store keeps no such series.", file=sys.stderr)
        else:
            with contextlib.suppress(BrokenPipeError):
                print(_table(found), flush=True)

    return _run(run)


def _export(options: argparse.Namespace) -> int:
    async def run() -> None:
        namespace, name = _resource(options.resource)
        async with _opened(options) as rollups:
            info = _only(await rollups.series(namespace, name), options)
            first = info.first if options.days is None else info.last - options.days * _DAY
            columns = await rollups.read(info.key, first, info.last + 1)
        if options.output is None:
            with contextlib.suppress(BrokenPipeError):
                _write_csv(columns, sys.stdout)
                sys.stdout.flush()
        else:
            with options.output.open("w", encoding="utf-8", newline="") as file:
                _write_csv(columns, file)

    return _run(run)


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
            _time(info.first),
            _time(info.last),
        )
        for info in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _write_csv(columns: Columns, file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("time", "value", "mean", "last", "samples"))
    for start, samples, *values in columns:
        mean, peak, last = ("" if value != value else f"{value:.6g}" for value in values)
        writer.writerow((_time(start), peak, mean, last, samples))


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _resource(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name):
        raise StoreRefused("Malformed", "a resource is named NAMESPACE/NAME")
    return namespace, name


@contextlib.asynccontextmanager
async def _opened(options: argparse.Namespace) -> AsyncIterator[Rollups]:
    """The store that is meant: one that runs, or a database without one."""
    if options.url:
        if not options.token_file:
            raise StoreRefused("Malformed", "--url wants a --token-file")
        client = StoreClient(StoreAddress(options.url, options.token_file, options.ca_file))
        try:
            yield client
        finally:
            await client.aclose()
        return
    from foretide.store.repository import Repository

    if not (options.database or options.database_file or os.environ.get(DATABASE_VARIABLE)):
        raise StoreRefused(
            "Malformed",
            "say which store: --url and --token-file for one that runs, or --database, "
            f"--database-file or the variable {DATABASE_VARIABLE} for a database without one",
        )
    location = _database(options)
    if location.file is not None and not location.file.exists():
        raise StoreRefused("Malformed", f"{location.file} does not exist")
    repository = await Repository.open(location)
    try:
        yield repository
    finally:
        await repository.aclose()


def _database(options: argparse.Namespace) -> "Location":
    """Where the database is, by the command line, a file or the environment.

    Raises:
        StoreRefused: none of them says so, or a password is where others see it.
    """
    from foretide.store.database import locate

    if options.database:
        location = locate(options.database)
        if location.has_password:
            raise StoreRefused(
                "BadDatabase",
                "--database must hold no password, as others can see it there: "
                f"use --database-file, or the variable {DATABASE_VARIABLE}",
            )
        return location
    if options.database_file:
        try:
            return locate(options.database_file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            message = f"cannot read {options.database_file}"
            raise StoreRefused("BadDatabase", message) from None
    if text := os.environ.get(DATABASE_VARIABLE):
        return locate(text)
    raise StoreRefused(
        "BadDatabase",
        "say where the database is: --database, --database-file, "
        f"or the variable {DATABASE_VARIABLE}",
    )


def _run(run: Callable[[], Awaitable[None]]) -> int:
    async def main() -> None:
        await run()

    try:
        asyncio.run(main())
    except ImportError as error:
        return fail(missing(error, "store"))
    except StoreError as error:
        return fail(error.message)
    except OSError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


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
