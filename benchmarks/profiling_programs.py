"""The labelled little programs: what each is bound by, and how one is run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from benchmarks.cgroups import Limits, group

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60.0  # programs that make files first take their time on a busy disk
MEMORY_LIMIT = 48 << 20  # what programs/memory.py reckons with


FREE = Limits()


@dataclass(frozen=True)
class Program:
    """A variant of a file in `benchmarks/programs/`; `label` is a class of `bound.py`.

    `held_out`: has never been looked at to set a threshold.
    """

    label: str
    file: str
    variant: str
    held_out: bool = False
    limits: Limits = FREE

    @property
    def name(self) -> str:
        return f"{self.file}.{self.variant}"


def _class(label: str, file: str, seen: str, held_out: str, limits: Limits) -> list[Program]:
    return [
        *(Program(label, file, variant, False, limits) for variant in seen.split()),
        *(Program(label, file, variant, True, limits) for variant in held_out.split()),
    ]


PROGRAMS: tuple[Program, ...] = (
    *_class("CPU", "cpu", "parse digest squeeze", "pool recursion", FREE),
    *_class("GIL", "gil", "two four convoy", "pool served", FREE),
    *_class("Lock", "lock", "sleeping_holder working_holder reentrant", "semaphore journal", FREE),
    *_class("DiskIO", "disk", "synced four", "cold database", FREE),
    *_class("NetworkIO", "network", "blocking pool coroutines", "server relay", FREE),
    *_class("Idle", "idle", "listening parked loop", "kept heartbeat", FREE),
    *_class(
        "Throttling", "throttled", "steady bursts server threads", "ticks report", Limits(cores=0.2)
    ),
    *_class(
        "MemoryPressure",
        "memory",
        "mapped heap threads",
        "records lookups",
        Limits(memory=MEMORY_LIMIT),
    ),
)


class ProgramFailed(Exception):
    """A program ended, or did not come to its work."""


@dataclass
class Running:
    """A program at its work; `told` is what it has booked so far: Unix time, and sums by name."""

    pid: int
    told: list[tuple[float, dict[str, float]]] = field(default_factory=list)

    def truth(self, since: float, until: float) -> dict[str, float]:
        """CPU seconds between two Unix times by planted function; `process` and `requests` too.

        Between two lines, in proportion to time.

        Raises:
            ProgramFailed: it has not told of all that time.
        """
        begin, end = self._at(since), self._at(until)
        return {name: value - begin.get(name, 0.0) for name, value in end.items()}

    def take(self, line: bytes) -> None:
        """One line that it has printed."""
        with suppress(ValueError, KeyError):
            read = json.loads(line)
            sums = {**read["cpu"], "process": read["process"], "requests": read["requests"]}
            self.told.append((read["at"], sums))

    def _at(self, moment: float) -> dict[str, float]:
        for (before, low), (after, high) in pairwise(self.told):
            if before <= moment <= after:
                share = (moment - before) / max(after - before, 1e-9)
                return {
                    name: low.get(name, 0.0) + share * (value - low.get(name, 0.0))
                    for name, value in high.items()
                }
        raise ProgramFailed(f"the program told nothing around {moment:.1f}")


@contextmanager
def running(program: Program, python: Path, seconds: float) -> Iterator[Running]:
    """Run it for `seconds` at most, alone in its session, in a control group where it has limits.

    Raises:
        ProgramFailed: it ended, or was not ready within a minute.
    """
    with ExitStack() as stack:
        # Not under /tmp where that is memory: the disk must be one.
        (ROOT / "out").mkdir(exist_ok=True)
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=ROOT / "out", prefix="bench-"))
        joins: list[Path] = []
        if program.limits != FREE:
            joins = stack.enter_context(group(program.limits))
        command = _command(program, python, seconds, folder)
        process = subprocess.Popen(
            [*_JOIN, str(len(joins)), *map(str, joins), *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        stack.callback(_end, process)
        yield _wait_until_ready(program, process)


# Joins the groups first, so that all memory is counted there; then becomes the program.
_JOIN = (
    "sh",
    "-c",
    'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1"; shift; n=$((n - 1)); done; exec "$@"',
    "sh",
)


def _command(program: Program, python: Path, seconds: float, folder: str) -> list[str]:
    module = f"benchmarks.programs.{program.file}"
    return [str(python), "-m", module, program.variant, str(seconds + START_SECONDS), folder]


def _wait_until_ready(program: Program, process: subprocess.Popen[bytes]) -> Running:
    assert process.stdout is not None
    told = Running(process.pid)
    ready = threading.Event()
    stdout = process.stdout

    lines = 0

    def read() -> None:
        nonlocal lines
        for line in stdout:
            told.take(line)
            lines += 1
            ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    if not ready.wait(START_SECONDS) or not lines:
        process.kill()
        stderr = process.stderr.read().decode() if process.stderr else ""
        raise ProgramFailed(f"{program.name} did not come to its work: {stderr[-500:]}")
    return told


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and what it has started: they are one session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def pythons(limit: int | None = None) -> dict[str, Path]:
    """CPython 3.8 and newer by version, of pyenv and on PATH; of each minor version one.

    With `limit`, the oldest and the newest of them first.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = sorted((root / "versions").glob("3.*/bin/python3"))
    for minor in range(8, 16):
        on_path = shutil.which(f"python3.{minor}")
        if on_path and "shims" not in on_path:
            candidates.append(Path(on_path))
    candidates.append(Path(sys.executable))
    found: dict[str, Path] = {}
    for candidate in candidates:
        version = _version(candidate)
        if version and version >= (3, 8):
            found.setdefault(f"{version[0]}.{version[1]}", candidate)
    ordered = sorted(found, key=lambda name: int(name.split(".")[1]))
    if limit is not None and len(ordered) > limit:
        step = (len(ordered) - 1) / max(limit - 1, 1)
        ordered = [ordered[round(number * step)] for number in range(limit)]
    return {name: found[name] for name in ordered}


def _version(python: Path) -> tuple[int, int] | None:
    """None for what is no CPython, or does not run."""
    ask = "import sys; print(sys.implementation.name, *sys.version_info[:2])"
    try:
        told = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = told.stdout.split()
    return (int(words[1]), int(words[2])) if len(words) == 3 and words[0] == "cpython" else None
