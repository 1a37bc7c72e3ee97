"""`foretide profile`: why a Python process is slow, on this machine or in a pod."""

import argparse
from pathlib import Path

from . import profile_files, profile_live, profile_pod

_DESCRIPTION = """\
Find out why a Python process is slow: it is sampled from outside with py-spy, without a change of
it or a restart. Where FILE|PID stands, a PID is sampled for --seconds first.
"""
_EXAMPLES = """\
examples:
  foretide profile record 1234 -o before.ftp
  foretide profile pod shop-5d9c7-x2x1z -n shop
  foretide profile report before.ftp
  foretide profile top 1234
  foretide profile flame 1234 -o flame.html
  foretide profile compare before.ftp after.ftp
  foretide profile convert before.ftp profile.pb.gz
"""
_RATE = 20.0
_SECONDS = 30.0


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `profile` to the commands of `foretide`."""
    parser = commands.add_parser(
        "profile",
        help="find out why a Python process is slow, and whether a fix worked",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")

    record = actions.add_parser(
        "record",
        help="sample a process into a file",
        description="Sample a Python process into a file that all other actions read.",
    )
    record.add_argument("pid", type=int, metavar="PID")
    record.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="default: profile-PID.ftp; other formats by the name's end, as with convert",
    )
    _add_sampling(record)
    record.set_defaults(run=profile_live.record)

    profile_pod.add_parser(actions)

    report = actions.add_parser(
        "report",
        help="where the time goes, and what the process is bound by",
        description="Tell where the time goes, how sure that is, and what the process is bound by.",
    )
    report.add_argument("source", metavar="FILE|PID")
    report.add_argument(
        "--limit", type=int, default=15, metavar="N", help="functions (default: %(default)s)"
    )
    report.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    _add_sampling(report)
    report.set_defaults(run=profile_files.report)

    top = actions.add_parser(
        "top",
        help="a live view",
        description="Show where the time goes, again and again, until Ctrl-C.",
    )
    top.add_argument("pid", type=int, metavar="PID")
    top.add_argument(
        "--by", choices=("cpu", "wall"), default="cpu", help="rank by (default: %(default)s)"
    )
    top.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="default: %(default)s"
    )
    top.add_argument(
        "--last", type=float, default=30.0, metavar="SECONDS", help="shown (default: %(default)s)"
    )
    top.add_argument("--count", type=int, metavar="N", help="end after so many views")
    _add_rate(top)
    _add_children(top)
    top.set_defaults(run=profile_live.top)

    flame = actions.add_parser(
        "flame",
        help="a flame graph as one HTML file",
        description="Write a flame graph as one HTML file that needs nothing else. With --before, "
        "it shows what has changed.",
    )
    flame.add_argument("source", metavar="FILE|PID")
    flame.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE.html", help="the file to write"
    )
    flame.add_argument(
        "--before", type=Path, metavar="FILE", help="a profile to compare with: red is dearer now"
    )
    flame.add_argument("--title", metavar="TEXT", help="default: the command, or the file's name")
    _add_sampling(flame)
    flame.set_defaults(run=profile_files.flame)

    compare = actions.add_parser(
        "compare",
        help="did the fix work?",
        description="Compare two recordings of one workload, and say whether chance alone would "
        "explain the difference. Rate and duration may differ. The exit status is 0 unless "
        "--check is given.",
    )
    compare.add_argument("before", type=Path, metavar="BEFORE")
    compare.add_argument("after", type=Path, metavar="AFTER")
    compare.add_argument(
        "--function", default="", metavar="NAME", help="the one that was to be fixed"
    )
    compare.add_argument(
        "--requests",
        metavar="N,N",
        help="how many were served in either recording: then costs are told for each",
    )
    compare.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    compare.add_argument(
        "--check",
        action="store_true",
        help="exit with 1 where it regressed, and 3 where there are too few data",
    )
    compare.set_defaults(run=profile_files.compare)

    convert = actions.add_parser(
        "convert",
        help="to and from pprof, speedscope, collapsed stacks and Chrome's trace events",
        description="Read a profile of any format, told by what it holds, and write it in another.",
    )
    convert.add_argument("input", type=Path, metavar="IN")
    convert.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        help="its end says the format: .pb.gz (pprof), .speedscope.json, .folded, .trace.json "
        "(Chrome's), .ftp (Foretide's)",
    )
    convert.add_argument(
        "--metric",
        choices=("cpu", "wall", "samples"),
        help="what to write where a format holds one number (default: CPU time, if known)",
    )
    convert.set_defaults(run=profile_files.convert)


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    """What can be said of how a process is sampled."""
    parser.add_argument(
        "--seconds",
        type=float,
        default=_SECONDS,
        metavar="N",
        help="how long to sample a PID (default: %(default)g)",
    )
    _add_rate(parser)
    _add_children(parser)


def _add_children(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--children",
        action="store_true",
        help="its Python children, too: the workers of a server that forks",
    )


def _add_rate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rate",
        type=float,
        default=_RATE,
        metavar="HZ",
        help="samples a second at the most (default: %(default)g); fewer are taken where they "
        "would stop the process for more than 0.55 %% of the time",
    )
