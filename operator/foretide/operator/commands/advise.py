"""`foretide advise`: what would make a PostgreSQL database faster, with proof."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from .advice_output import add_output, check_output, tell
from .running import running
from .telling import Refused, note

if TYPE_CHECKING:
    from foretide.dbadvisor.observed import Settings
    from foretide.dbadvisor.report import Advice

_DESCRIPTION = """\
Say what would make a PostgreSQL database faster: indexes to create and to drop, N+1, answers to
cache, locks, and how data lies. It only reads: every statement runs in a read-only transaction, and
no query of the workload is executed but for the look-ups of an N+1, to prove the batch for them.

The workload is what pg_stat_statements has counted, or what it counts during --watch, or a file.
What is missing (a permission, an extension) limits the advice, which says so.
"""
_EXAMPLES = """\
examples:
  foretide advise postgresql://foretide@db.shop/shop
  foretide advise 'host=db.shop dbname=shop user=foretide' --watch 10m --html advice.html
  foretide advise postgresql://foretide@db.shop/shop --workload queries.sql --budget 100MB

A password belongs into PGPASSWORD or ~/.pgpass: in the command line others see it (ps).
"""
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKMGT]?)(i?)[bB]?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_DAY = 86_400.0


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `advise` to the commands of `foretide`."""
    parser = commands.add_parser(
        "advise",
        help="what would make a PostgreSQL database faster",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "dsn", metavar="DSN", help="a URL, or host=... dbname=... user=..., as psql takes it"
    )
    workload = parser.add_argument_group("what is looked at")
    workload.add_argument(
        "--workload",
        type=Path,
        metavar="FILE.sql",
        help="queries instead of pg_stat_statements' (`-- calls: 1200, ms: 3.5` before one "
        "weighs it)",
    )
    workload.add_argument(
        "--watch",
        default="0s",
        metavar="DURATION",
        help="watch for so long (10m): for N+1, locks, and the workload of that while",
    )
    workload.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="PostgreSQL's log with statements, for N+1: csvlog if its name ends in .csv",
    )
    workload.add_argument(
        "--log-prefix",
        default="%m [%p] ",
        metavar="PREFIX",
        help="log_line_prefix of a log that is not csvlog (default: '%%m [%%p] ')",
    )
    workload.add_argument(
        "--spans", type=Path, metavar="FILE", help="OpenTelemetry spans (OTLP's JSON), for N+1"
    )
    workload.add_argument(
        "--queries",
        type=int,
        default=500,
        metavar="N",
        help="how many, costliest first (default: %(default)s)",
    )
    workload.add_argument(
        "--schema",
        action="append",
        default=[],
        metavar="NAME",
        help="only tables of this schema; may be repeated",
    )
    workload.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="no tables whose name is like this (audit.*, *_old); may be repeated",
    )
    workload.add_argument(
        "--budget",
        metavar="SIZE",
        help="storage for new indexes, such as 100MB (default: a fifth of the tables' size)",
    )
    workload.add_argument(
        "--caches",
        type=int,
        default=1,
        metavar="N",
        help="how many processes would cache answers on their own (default: %(default)s, shared)",
    )
    add_output(parser)
    parser.set_defaults(run=_advise)


def _mistakes() -> tuple[type[Exception], ...]:
    from foretide.dbadvisor.database import DatabaseError
    from foretide.dbadvisor.workload_file import BadWorkload

    return BadWorkload, DatabaseError


@running("dbadvisor", _mistakes)
def _advise(options: argparse.Namespace) -> int:
    settings = _settings(options)
    check_output(options)
    advice = _advice(options, settings)
    tell(advice, options)
    return 0


def _settings(options: argparse.Namespace) -> "Settings":
    from foretide.dbadvisor.observed import Settings

    for name in ("queries", "caches"):
        if getattr(options, name) < 1:
            raise Refused(f"--{name} must be 1 at least")
    return Settings(
        budget=None if options.budget is None else size_of(options.budget),
        queries=options.queries,
        schemas=tuple(options.schema),
        exclude=tuple(options.exclude),
        caches=options.caches,
    )


def _advice(options: argparse.Namespace, settings: "Settings") -> "Advice":
    from foretide.dbadvisor import advising
    from foretide.dbadvisor.connection import Connection, Target

    from .advise_observing import Ending, given, observe
    from .advise_outlasting import outlasting
    from .progress import Bar

    seconds = _watch(options.watch)
    files = given(options)
    target = Target(options.dsn)
    if target.parameters.get("password"):
        note("others see a password in the command line (ps): put it into PGPASSWORD or ~/.pgpass")
    with Ending() as ending, Connection(target) as connection:
        observed = observe(connection, files, seconds, ending)
        # What was asked to end is the watch: from here on it would be the advice.
        ending.asked = False
        with Bar() as bar:
            return outlasting(
                connection,
                observed,
                lambda database, seen: advising.advise(
                    database, seen, settings, progress=bar, stop=lambda: ending.asked
                ),
                ending,
            )


def _watch(text: str) -> float:
    from ..api.fields import parse_duration

    try:
        seconds = float(parse_duration(text))
    except ValueError as error:
        raise Refused(f"--watch: {error}") from None
    if seconds > _DAY:
        raise Refused("--watch wants a day at most: 24h")
    return seconds


def size_of(text: str) -> float:
    """Bytes of a size such as 100MB, 1.5GB or 64MiB.

    Raises:
        Refused: it is none.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise Refused(f"--budget: {text[:40]!r} is not a size such as 100MB, 1.5GB or 64MiB")
    base = 1024 if found[3] else 1000
    return float(found[1]) * float(base ** _POWERS[found[2].lower()])
