"""`foretide store reports`: list, show and delete the reports that a store keeps."""

import argparse
import contextlib
import re
import sys
from collections.abc import Sequence

from foretide.store.errors import StoreRefused
from foretide.store.reports import KeptReport, Reports, Subject

from .advice_output import add_output, check_output, tell
from .store_where import add_where, opened_reports, run, split_name
from .tables import size_of, table, time_of
from .telling import Refused, missing
from .writing import write

ADVISOR = "DatabaseAdvisor"
_PATH = re.compile(r"(?:/v1/reports/)?([0-9]{1,18})")


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `reports` to the actions of `foretide store`."""
    reports = actions.add_parser(
        "reports",
        help="list, show or delete reports",
        description="List the reports that a store keeps, such as the whole advices of "
        "DatabaseAdvisors, show one, or delete them.",
    )
    verbs = reports.add_subparsers(title="actions", required=True, metavar="ACTION")

    listed = verbs.add_parser("list", help="what is kept, the newest first")
    listed.add_argument("resource", nargs="?", metavar="NAMESPACE[/NAME]")
    _add_kind(listed, None)
    add_where(listed)
    listed.set_defaults(run=_list)

    show = verbs.add_parser(
        "show",
        help="show one",
        description="Show a report as `foretide advise` does: in the terminal, and with --json and "
        "--html in files. What it holds is the workload of then; nothing is asked of the database.",
    )
    show.add_argument(
        "report",
        metavar="REPORT",
        help="its number, the path that a status has (/v1/reports/17), or NAMESPACE/NAME: the "
        "newest of that resource",
    )
    _add_kind(show, ADVISOR)
    add_where(show)
    add_output(show)
    show.set_defaults(run=_show)

    delete = verbs.add_parser("delete", help="delete all of a resource")
    delete.add_argument("resource", metavar="NAMESPACE/NAME")
    _add_kind(delete, ADVISOR)
    add_where(delete)
    delete.add_argument("--yes", action="store_true", help="do it: without, it is only told")
    delete.set_defaults(run=_delete)


def _add_kind(parser: argparse.ArgumentParser, default: str | None) -> None:
    said = "of resources of this kind only" if default is None else "default: %(default)s"
    parser.add_argument("--kind", metavar="KIND", default=default, help=said)


def _list(options: argparse.Namespace) -> int:
    async def work() -> None:
        namespace, name = options.resource or None, None
        if namespace and "/" in namespace:
            namespace, name = split_name(namespace)
        async with opened_reports(options) as reports:
            found = await reports.find(namespace, options.kind, name)
        if not found:
            print("The store keeps no such reports.", file=sys.stderr)
        else:
            with contextlib.suppress(BrokenPipeError):
                print(table(_rows(found)), flush=True)

    return run(work)


def _show(options: argparse.Namespace) -> int:
    async def work() -> None:
        check_output(options)
        async with opened_reports(options) as reports:
            found = await _meant(reports, options)
        _tell(found, options)

    return run(work)


async def _meant(reports: Reports, options: argparse.Namespace) -> KeptReport:
    """The report that is meant, with its data.

    Raises:
        StoreRefused: there is none.
    """
    if number := _PATH.fullmatch(options.report):
        found = await reports.get(int(number[1]))
        if found is None:
            raise StoreRefused("NoReport", f"the store keeps no report {number[1]} (any more)")
        return found
    if "/" not in options.report:
        raise StoreRefused(
            "Malformed", "say which report: its number, /v1/reports/NUMBER or NAMESPACE/NAME"
        )
    namespace, name = split_name(options.report)
    newest = next(iter(await reports.find(namespace, options.kind, name)), None)
    found = None if newest is None else await reports.get(newest.id)
    if found is None:
        raise StoreRefused("NoReport", f"the store keeps no report of {namespace}/{name}")
    return found


def _tell(report: KeptReport, options: argparse.Namespace) -> None:
    """Raises `Refused` where it cannot be shown."""
    data = report.data or b""
    if report.subject.kind != ADVISOR:
        if not options.json or options.html:
            raise Refused(
                f"a report of kind {report.subject.kind} cannot be shown: --json FILE alone writes "
                f"it as it is kept ({report.content_type})"
            )
        write(options.json, data)
        return
    try:
        from foretide.dbadvisor.report_read import BadReport, read
    except ImportError as error:
        raise Refused(missing(error, "dbadvisor")) from None
    try:
        advice = read(data)
    except BadReport as error:
        raise Refused(f"report {report.id}: {error}") from None
    with contextlib.suppress(BrokenPipeError):
        tell(advice, options, data)
        sys.stdout.flush()


def _delete(options: argparse.Namespace) -> int:
    async def work() -> None:
        subject = Subject(options.kind, *split_name(options.resource))
        async with opened_reports(options) as reports:
            if options.yes:
                print(f"Deleted {await reports.delete(subject)} reports.")
                return
            found = await reports.find(subject.namespace, subject.kind, subject.name)
        sizes = size_of(sum(one.size for one in found))
        print(f"Would delete {len(found)} reports, {sizes}: say --yes to do it.")

    return run(work)


def _rows(found: Sequence[KeptReport]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("ID", "TIME", "KIND", "NAMESPACE", "NAME", "SIZE")]
    rows += [
        (
            str(one.id),
            time_of(one.at),
            one.subject.kind,
            one.subject.namespace,
            one.subject.name,
            size_of(one.size),
        )
        for one in found
    ]
    return rows
