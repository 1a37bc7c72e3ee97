"""Records what a kernel with cgroup v2 says of labelled programs: the fixtures of tests.

python benchmarks/cgroup2_fixtures.py FOLDER

Needs root, and a machine on which cgroup v2 has the controllers cpu and memory.
For each case FOLDER gets a folder: the files of the program's control group `before` and `after`,
and in `windows.txt` what the sampler saw in between.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.cgroups import Limits, available  # noqa: E402
from benchmarks.profiling_programs import (  # noqa: E402
    MEMORY_LIMIT,
    Program,
    ProgramFailed,
    running,
)
from foretide.profiling.bound import bound  # noqa: E402
from foretide.profiling.sampler import cgroup, sample, to_packed_line  # noqa: E402

FILES = (
    *("cpu.stat", "cpu.max", "cpu.pressure", "io.pressure"),
    *("memory.current", "memory.max", "memory.stat", "memory.events", "memory.pressure"),
)
SETTLE, SECONDS = 3.0, 10.0
# All have both limits, so that what tells them apart is whether a limit hurts.
_ROOMY = Limits(cores=1.5, memory=256 << 20)
_SMALL = Limits(cores=1.5, memory=MEMORY_LIMIT)


@dataclass(frozen=True)
class Case:
    """A program under limits of its own."""

    name: str
    program: Program


CASES = (
    Case(
        "throttled",
        Program("Throttling", "throttled", "steady", limits=Limits(0.2, 256 << 20)),
    ),
    Case("pressed", Program("MemoryPressure", "memory", "mapped", limits=_SMALL)),
    Case("calm", Program("CPU", "cpu", "parse", limits=_ROOMY)),
    # Fills its limit with pages of files, which cost nothing to give up: no shortage.
    Case("cached", Program("DiskIO", "disk", "journal", limits=_SMALL)),
)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    reason = available(_SMALL)
    if not reason and not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        reason = "/sys/fs/cgroup is not cgroup v2"
    if reason:
        print(f"nothing can be recorded here: {reason}", file=sys.stderr)
        return 2
    for case in CASES:
        try:
            print(f"{case.name}: {record(case, Path(arguments[0]) / case.name)}", flush=True)
        except ProgramFailed as error:
            print(f"{case.name}: {error}", file=sys.stderr)
            return 1
    return 0


def record(case: Case, folder: Path) -> str:
    """Run a program and keep what is said of it; what it was taken for, in a sentence.

    Raises:
        ProgramFailed: the program ended, or was not ready in time.
    """
    with running(case.program, Path(sys.executable), SETTLE + 3 * SECONDS) as program:
        places = cgroup.find(program.pid)
        time.sleep(SETTLE)
        _keep(Path(places.cpu), folder / "before")
        windows = list(sample(program.pid, seconds=SECONDS, windows=1))
        _keep(Path(places.cpu), folder / "after")
    lines = "".join(f"{to_packed_line(window)}\n" for window in windows)
    (folder / "windows.txt").write_text(lines)
    found = bound(windows)
    return f"{found.kind}, {'; '.join(found.evidence)}"


def _keep(group: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _files(group):
        (folder / name).write_bytes(text)


def _files(group: Path) -> Iterator[tuple[str, bytes]]:
    for name in FILES:
        yield name, (group / name).read_bytes()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
