"""How commands show an advice: in the terminal, as JSON, as one HTML file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .telling import Refused
from .writing import check_writable, write

if TYPE_CHECKING:
    from foretide.dbadvisor.report import Advice


def add_output(parser: argparse.ArgumentParser) -> None:
    """Options that say what is written."""
    output = parser.add_argument_group("what is written")
    output.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    output.add_argument("--html", type=Path, metavar="FILE", help="the report as one HTML file")
    output.add_argument(
        "--limit",
        type=int,
        default=10,
        metavar="N",
        help="of each kind in the terminal (default: %(default)s)",
    )


def check_output(options: argparse.Namespace) -> None:
    """See that it can be written, before the work is done.

    Raises:
        Refused: it cannot.
    """
    if options.limit < 1:
        raise Refused("--limit must be 1 at least")
    for path in (options.json, options.html):
        check_writable(path)


def tell(advice: "Advice", options: argparse.Namespace, data: bytes | None = None) -> None:
    """Print it, and write the files that were asked for; `data` is its JSON where there is one.

    Raises:
        Refused: a file cannot be written.
    """
    from foretide.dbadvisor import report_html, report_json, report_text

    print(report_text.report(advice, most=options.limit), end="")
    if options.json:
        write(options.json, report_json.text(advice).encode() if data is None else data)
    if options.html:
        write(options.html, report_html.page(advice).encode())
        print(f"\n{options.html}: open it in a browser")
