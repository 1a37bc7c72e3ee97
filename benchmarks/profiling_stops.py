"""How long one thread stands still because somebody traces it, by the kernel's own events.

Its scheduling account (schedstat) tells it, too, as the time in which a thread that never rests
neither ran nor waited for a core. But on a virtual machine the host takes time away that looks the
same, now a thousandth and now a tenth. Here the scheduler's events say when the thread was taken
off its core with the state "traced", and when it was let go. To follow them takes root, and a
kernel with tracefs.
"""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

_USUAL = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_BUFFER_KB = 4096  # for each core
_LINE = re.compile(
    r"\s(?P<at>\d+\.\d+): (?:sched_switch: .*?prev_state=(?P<state>\S+)|sched_waking: )"
)
_TRACED = ("t", "T")


class StopsUnknown(Exception):
    """They cannot be followed here; the message says why."""


@contextlib.contextmanager
def followed(tid: int) -> Iterator["Stops"]:
    """Follow the stops of a thread for as long as the block lasts.

    Raises:
        StopsUnknown: not root, or no tracefs.
    """
    with _tracefs() as root:
        place = root / "instances" / f"foretide-{os.getpid()}-{tid}"
        try:
            place.mkdir()
        except OSError as error:
            raise StopsUnknown(f"tracefs: {error.strerror}") from error
        try:
            yield Stops(place, tid)
        finally:
            place.rmdir()


class Stops:
    """The kernel's record of one thread's stops. `seconds` reads it, and empties it."""

    def __init__(self, place: Path, tid: int) -> None:
        self._place = place
        self._since: float | None = None
        try:
            for name, chosen in (
                ("sched_switch", f"prev_pid=={tid}"),
                ("sched_waking", f"pid=={tid}"),
            ):
                (place / "events" / "sched" / name / "filter").write_text(chosen)
            (place / "buffer_size_kb").write_text(str(_BUFFER_KB))
            for name in ("sched_switch", "sched_waking"):
                (place / "events" / "sched" / name / "enable").write_text("1")
        except OSError as error:
            raise StopsUnknown(f"tracefs: {error.strerror}") from error

    def seconds(self) -> list[float]:
        """The stops that have ended since it was last asked, in seconds.

        Raises:
            StopsUnknown: there were more events than there is room for, and some are lost.
        """
        for told in self._place.glob("per_cpu/cpu*/stats"):
            if re.search(r"^overrun: [1-9]", told.read_text(), re.MULTILINE):
                raise StopsUnknown("tracefs: events are lost: ask more often")
        lines = (self._place / "trace").read_text().splitlines()
        (self._place / "trace").write_text("")
        return list(self._of(lines))

    def _of(self, lines: Iterable[str]) -> Iterator[float]:
        for line in lines:
            found = _LINE.search(line)
            if found is None:
                continue
            at = float(found["at"])
            if found["state"] is not None:
                self._since = at if found["state"].startswith(_TRACED) else None
            elif self._since is not None:
                yield at - self._since
                self._since = None


@contextlib.contextmanager
def _tracefs() -> Iterator[Path]:
    for path in _USUAL:
        if (path / "instances").is_dir():
            yield path
            return
    with tempfile.TemporaryDirectory(prefix="tracefs-") as folder:
        line = ["mount", "-t", "tracefs", "nodev", folder]
        try:
            mounted = subprocess.run(line, capture_output=True, text=True, check=False)
        except OSError as error:
            raise StopsUnknown(f"mount: {error.strerror}") from error
        if mounted.returncode:
            raise StopsUnknown(mounted.stderr.strip() or "tracefs cannot be mounted")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=False)
