"""A process beside the sampler that sees to it that no target stays stopped, whoever is killed.

The kernel lets go of what a tracer has attached to when the tracer ends, and py-spy is started so
that it ends with the sampler. What is left is a py-spy that hangs while the sampler hangs, too, or
is frozen: this process then ends py-spy. It outlives the sampler, ends py-spy where that has not
ended by itself, wakes a target that was left stopped, and goes.

As a script it reads orders from standard input: `watch PYSPY TARGET` and `forget PYSPY`. Nothing
else is imported, so that it stays small.
"""

import atexit
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field

_LOOK_SECONDS = 0.3
_HELD_LOOKS = 5  # in a row: a stop lasts milliseconds
_FAREWELL_LOOKS = 10


class Watchdog:
    """The sampler's side. It runs until it is closed, or the sampler ends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.pid_of_owner = os.getpid()

    def watch(self, pyspy: int, target: int) -> None:
        """From now on this py-spy looks into that process."""
        self._order(f"watch {pyspy} {target}\n")

    def forget(self, pyspy: int) -> None:
        """This py-spy has ended."""
        self._order(f"forget {pyspy}\n")

    def _order(self, text: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except OSError:
            pass  # it was ended: the kernel's own safeguards are left

    def __enter__(self) -> "Watchdog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let it go, once it has seen that all targets run."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(2 * _LOOK_SECONDS * _FAREWELL_LOOKS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_shared: "list[Watchdog]" = []


def shared() -> Watchdog:
    """The one of this process, started when it is first asked for. It goes with the process."""
    if not _shared or _shared[0].pid_of_owner != os.getpid():
        _shared[:] = [Watchdog()]
        atexit.register(_shared[0].close)
    return _shared[0]


@dataclass
class Watch:
    """One py-spy and its target. `began` names the py-spy for good: PIDs are used again."""

    pyspy: int
    target: int
    began: str = ""
    was_stopped: bool = False
    held: int = field(default=0)


def status(pid: int) -> tuple[str, int]:
    """A process' state as one letter, and who traces it (0: nobody); ("", 0) when it has gone."""
    state, tracer = "", 0
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("State:"):
                    state = line.split()[1]
                elif line.startswith("TracerPid:"):
                    tracer = int(line.split()[1])
    except OSError:
        pass
    return state, tracer


def began(pid: int) -> str:
    """When a process was started, as the kernel counts; empty when it has gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            text = file.read()
    except OSError:
        return ""
    return text[text.rindex(")") + 2 :].split()[19]


def end(watch: Watch) -> None:
    """Kill this py-spy, if it is still the same process."""
    if watch.began and began(watch.pyspy) == watch.began:
        with suppress(OSError):
            os.kill(watch.pyspy, signal.SIGKILL)


def look(watch: Watch) -> None:
    """End a py-spy that holds its target look after look; see whether a signal has stopped it."""
    state, tracer = status(watch.target)
    if tracer == 0 and began(watch.pyspy) == watch.began:
        # py-spy stops nobody by a signal: it was somebody else, whom we leave it to.
        watch.was_stopped = state == "T"
    watch.held = watch.held + 1 if state == "t" and tracer == watch.pyspy else 0
    if watch.held >= _HELD_LOOKS:
        end(watch)
        watch.held = 0


def is_free(watch: Watch) -> bool:
    """After py-spy's end: does its target run? It is woken where it was left stopped."""
    state, tracer = status(watch.target)
    if tracer == watch.pyspy:
        return False
    if state == "T" and tracer == 0 and not watch.was_stopped:
        try:
            os.kill(watch.target, signal.SIGCONT)
        except OSError:
            return True
        return False
    return True


def obey(order: str, watches: "dict[int, Watch]") -> None:
    words = order.split()
    if len(words) == 3 and words[0] == "watch":
        pyspy, target = int(words[1]), int(words[2])
        stopped = status(target)[0] == "T"
        watches[pyspy] = Watch(pyspy, target, began(pyspy), stopped)
    elif len(words) == 2 and words[0] == "forget":
        watches.pop(int(words[1]), None)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the sampler
    watches: dict[int, Watch] = {}
    rest = b""
    while True:
        if select.select([0], [], [], _LOOK_SECONDS)[0]:
            data = os.read(0, 65536)
            if not data:
                break
            *orders, rest = (rest + data).split(b"\n")
            for order in orders:
                obey(order.decode(), watches)
        for watch in watches.values():
            look(watch)
    for watch in watches.values():
        end(watch)
    for _ in range(_FAREWELL_LOOKS):
        free = [is_free(watch) for watch in watches.values()]  # each is to be woken
        if all(free):
            break
        select.select([], [], [], _LOOK_SECONDS)


if __name__ == "__main__":
    main()
