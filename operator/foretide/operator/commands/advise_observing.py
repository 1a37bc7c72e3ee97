"""What `foretide advise` looks at: the database, for a while if it is to, and files."""

import argparse
import codecs
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from foretide.dbadvisor import deltas, workload_file
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.nplusone import logs, spans
from foretide.dbadvisor.observed import Observed
from foretide.dbadvisor.sampling import Watched, watch

from .progress import Clock
from .telling import Refused, note

if TYPE_CHECKING:
    from foretide.dbadvisor.connection import Connection
    from foretide.dbadvisor.nplusone.events import Event
    from foretide.dbadvisor.snapshot import Workload

MOST_EVENTS = 2_000_000
LARGEST = 200 * 2**20  # bytes of a file of SQL
# As often constants are read in a watch: what is kept of each look takes memory.
CONSTANTS_LOOKS = 30
_MOMENT = 0.2


@dataclass(frozen=True)
class Given:
    """What files say: a workload with its name, and single executions."""

    workload: "Workload | None" = None
    name: str = ""
    events: "tuple[Event, ...]" = ()
    missing: tuple[str, ...] = ()


class Ending:
    """The first Ctrl-C ends what takes long, and what is known is told; a second one ends all."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def sleep(self, seconds: float) -> None:
        """As `time.sleep`, but no longer than until it is asked to end."""
        until = time.monotonic() + seconds
        while not self.asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _MOMENT))

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        note("ending with what is known; Ctrl-C again ends at once")


def given(options: argparse.Namespace) -> Given:
    """Reads the files that are named.

    Raises:
        BadWorkload: a workload is none.
        Refused: a file cannot be read.
    """
    workload = None
    events: list[Event] = []
    missing = []
    if options.workload is not None:
        text, remark = _decoded(_read(options.workload))
        workload = workload_file.read(text)
        missing += [f"{options.workload}: {remark}"] if remark else []
    for path, read in (
        (options.log, lambda lines: _of_log(lines, options)),
        (options.spans, spans.from_otlp),
    ):
        if path is None:
            continue
        found = _events(path, read)
        if not found:
            missing.append(f"{path}: no execution of a statement was found in it")
        if len(found) >= MOST_EVENTS:
            missing.append(f"{path}: only the first {MOST_EVENTS:,} executions were looked at")
        events += found
    name = str(options.workload) if workload is not None else ""
    return Given(workload, name, tuple(events), tuple(missing))


def observe(connection: "Connection", files: Given, seconds: float, ending: Ending) -> Observed:
    """Looks at the database, for so many seconds or once.

    Raises:
        DatabaseError: its name could not even be read.
        DatabaseAway: nobody answers.
    """
    with ExitStack() as stack:
        clock = stack.enter_context(Clock(seconds, "watching, Ctrl-C ends it")) if seconds else None
        watched = watch(
            Collector(connection, constants_seconds=seconds / CONSTANTS_LOOKS),
            seconds,
            stop=lambda: ending.asked,
            progress=lambda done: clock(done, seconds) if clock is not None else None,
            sleep=ending.sleep,
        )
    last = watched.snapshots[-1]
    observed = Observed(
        last,
        watched.workload,
        "",
        before=watched.snapshots[0] if len(watched.snapshots) > 1 else None,
        windows=watched.windows,
        activities=watched.activities,
        pulses=watched.pulses,
        constants=watched.constants,
        events=files.events,
        missing=(*watched.missing, *files.missing),
    )
    if files.workload is not None:
        timed = workload_file.is_timed(files.workload)
        return replace(
            observed, workload=files.workload, source=files.name, timed=timed, counted=False
        )
    return _counted(observed, watched)


def _counted(observed: Observed, watched: Watched) -> Observed:
    """With the workload that pg_stat_statements has counted, and from when to when."""
    if observed.before is not None:
        if observed.workload.queries:
            return replace(observed, source="counted by pg_stat_statements while it was watched")
        missing = "nothing was executed while it was watched: what was counted before is looked at"
        observed = replace(observed, missing=(*observed.missing, missing))
    total = deltas.total(watched.snapshots[-1])
    source = "all that pg_stat_statements has counted"
    if not total.queries:
        source = "neither pg_stat_statements nor a file has any"
    return replace(observed, workload=total, source=source)


def _of_log(lines: Iterable[str], options: argparse.Namespace) -> "Iterable[Event]":
    if options.log.suffix.lower() == ".csv":
        return logs.from_csv(lines)
    try:
        logs.prefix_pattern(options.log_prefix)
    except ValueError as error:
        raise Refused(f"--log-prefix: {error}") from None
    return logs.from_stderr(lines, options.log_prefix)


def _events(path: Path, read: Any) -> "list[Event]":
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as lines:
            return list(islice(read(lines), MOST_EVENTS))
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None
    if len(data) > LARGEST:
        raise Refused(f"{path}: more than {LARGEST // 2**20} MB of SQL is too much")
    return data


def _decoded(data: bytes) -> tuple[str, str]:
    """The text, and what has to be said of how it was read. Lines end as they do on Unix."""
    remark = ""
    try:
        # What PowerShell writes is in UTF-16, and says so.
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = data.decode("utf-16", errors="replace")
        else:
            text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
        remark = "it is not UTF-8, and was read as Windows-1252 (Latin-1)"
    return text.replace("\r\n", "\n").replace("\r", "\n"), remark
