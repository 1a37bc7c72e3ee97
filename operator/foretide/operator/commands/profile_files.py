"""`foretide profile report`, `flame`, `compare` and `convert`: what recordings say."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .profile_running import running
from .profile_sampling import open_source
from .telling import Refused
from .writing import check_writable, write

if TYPE_CHECKING:
    from foretide.profiling.profile import Profile
    from foretide.profiling.window import Window

_REGRESSED, _INSUFFICIENT = 1, 3


@running
def report(options: argparse.Namespace) -> int:
    """Where the time goes, as text."""
    from foretide.profiling.profile import Profile
    from foretide.profiling.report import report as report_windows
    from foretide.profiling.report import report_of

    if options.limit < 1:
        raise Refused("--limit must be 1 at least")
    check_writable(options.json, [Path(options.source)])
    found = _open(options)
    if isinstance(found, Profile):
        print(report_of(found, limit=options.limit), end="")
    else:
        print(report_windows(found, limit=options.limit), end="")
    if options.json:
        write(options.json, _figures(found).encode())
    return 0


@running
def flame(options: argparse.Namespace) -> int:
    """A flame graph, or one of what has changed."""
    from foretide.profiling.files import read_profile
    from foretide.profiling.flame import differential, flame_graph
    from foretide.profiling.profile import Profile, merge

    if options.output.suffix.lower() not in ("", ".html", ".htm"):
        raise Refused(f"{options.output}: a flame graph is an HTML file, its name ends in .html")
    check_writable(options.output, [Path(options.source), *filter(None, [options.before])])
    before = read_profile(options.before) if options.before else None
    found = _open(options)
    profile = found if isinstance(found, Profile) else merge(found)
    if before is not None and before.unit is not profile.unit:
        raise Refused(f"{options.before} counts {before.unit}, the other one {profile.unit}")
    if before is not None and (before.cpu > 0) is not (profile.cpu > 0):
        without = options.source if before.cpu > 0 else options.before
        raise Refused(f"{without} does not say what was CPU time, so that the two do not compare")
    title = options.title or profile.command or Path(options.source).name
    if before is None:
        page = flame_graph(profile, title)
    else:
        page = differential(before, profile, options.title or f"{title}: before and after")
    write(options.output, page.encode("utf-8", "replace"))
    print(f"{options.output}: {len(page) / 1e3:,.0f} kB, open it in a browser")
    return 0


@running
def compare(options: argparse.Namespace) -> int:
    """The verdict on a fix."""
    from foretide.profiling.compare import compare as compare_windows
    from foretide.profiling.comparison import Verdict, render
    from foretide.profiling.files import read_windows

    requests = _requests(options.requests)
    check_writable(options.json, [options.before, options.after])
    before, after = read_windows(options.before), read_windows(options.after)
    _check_function(options.function, (*before, *after))
    found = compare_windows(before, after, requests=requests, function=options.function)
    found = dataclasses.replace(found, notes=(*found.notes, *_remarks(before, after)))
    print(render(found), end="")
    if options.json:
        text = json.dumps(dataclasses.asdict(found), indent=1, default=str)
        write(options.json, f"{text}\n".encode())
    if options.check and found.verdict is Verdict.REGRESSED:
        return _REGRESSED
    return _INSUFFICIENT if options.check and found.verdict is Verdict.INSUFFICIENT_DATA else 0


@running
def convert(options: argparse.Namespace) -> int:
    """One format into another."""
    from foretide.profiling.files import (
        SUFFIXES,
        Format,
        described,
        format_of,
        read_file,
        write_profile,
    )
    from foretide.profiling.formats.metric import Metric
    from foretide.profiling.profile import Profile, merge

    kind = format_of(options.output)
    if kind is None:
        raise Refused(f"{options.output}: its name must end in one of {', '.join(SUFFIXES)}")
    check_writable(options.output)
    found = read_file(options.input)
    metric = Metric(options.metric) if options.metric else None
    if kind is not Format.FORETIDE and not isinstance(found, Profile):
        found = merge(found)
    data = write_profile(found, kind, metric)
    write(options.output, data)
    what = described(found, kind, metric) if isinstance(found, Profile) else str(kind)
    print(f"{options.output}: {what}, {len(data):,} bytes")
    return 0


def tell_what_next(path: Path, windows: "Sequence[Window]") -> None:
    """After a recording: how to read it, and what its report will not say."""
    from foretide.profiling.files import Format, format_of
    from foretide.profiling.hotspots import hotspots

    if reason := hotspots(windows, limit=0).reason:
        print(f"Where the CPU time goes it does not tell: {reason}")
    if format_of(path) is Format.FORETIDE:
        print(f"What next: foretide profile report {path}")


def _open(options: argparse.Namespace) -> "Profile | tuple[Window, ...]":
    return open_source(
        options.source, seconds=options.seconds, rate=options.rate, children=options.children
    )


def _check_function(name: str, windows: "tuple[Window, ...]") -> None:
    """See that the function was seen: of another it would be said that it costs what it did.

    Raises:
        Refused: it was seen on neither side.
    """
    seen = {frame.function for window in windows for frame in window.frames}
    if name and not any(one == name or one.endswith(f".{name}") for one in seen):
        raise Refused(
            f"--function {name}: neither recording has a function of that name. "
            "Name one as `foretide profile report` tells it"
        )


def _remarks(before: "tuple[Window, ...]", after: "tuple[Window, ...]") -> list[str]:
    """What makes one doubt that these were the two to compare."""
    remarks = []
    first, second = ({(one.started_at, one.pid) for one in side} for side in (before, after))
    if both := len(first & second):
        remarks.append(
            f"{both} of {len(second)} windows are in either recording: is this the AFTER?"
        )
    programs = [sorted({one.command or "?" for one in side}) for side in (before, after)]
    if not set(programs[0]) & set(programs[1]):
        told = [" and ".join(side[:3]) for side in programs]
        remarks.append(
            f"BEFORE is of {told[0]}, AFTER of {told[1]}: "
            "if these are two programs, it says nothing."
        )
    return remarks


def _requests(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        before, after = (float(part) for part in text.split(","))
    except ValueError:
        before = after = 0.0
    if not (1e-6 <= before <= 1e15 and 1e-6 <= after <= 1e15):
        raise Refused("--requests wants two numbers above 0, before and after: 1200,1180")
    return before, after


def _figures(found: "Profile | tuple[Window, ...]") -> str:
    from foretide.profiling.bound import bound
    from foretide.profiling.hotspots import By, hotspots, hotspots_of
    from foretide.profiling.profile import Profile

    figures: dict[str, Any] = {}
    if isinstance(found, Profile):
        figures = {str(by): dataclasses.asdict(hotspots_of(found, by)) for by in By}
    else:
        figures = {str(by): dataclasses.asdict(hotspots(found, by)) for by in By}
        figures["bound"] = dataclasses.asdict(bound(found))
    return json.dumps(figures, indent=1) + "\n"
