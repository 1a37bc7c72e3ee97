"""The sampler's process in a pod: `python3 -m foretide.profiling.resident`.

In an ephemeral container it samples at once, and then waits a while for further orders, as an
ended container can never be started again. In a sidecar it samples while it is its pod's turn.
What it finds goes to standard output, so that no network path to Foretide is needed, and orders
come by `kubectl exec` to a socket without a file: the root file system is read-only.

Standard library only.
"""

import argparse
import contextlib
import os
import queue
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from .events import Event, Kind, to_line
from .orders import Order, SamplingRefused

_TURN_PERIOD = 5.0
_LONGEST_ORDER = 4_096
_CREDENTIALS = struct.Struct("3i")


# Samples once: yields packed lines until the order is done or the event is set.
Sampling = Callable[[Order, threading.Event], Iterator[str]]


class Resident:
    """Carries out orders, one after the other, the newest first; says what it does."""

    def __init__(
        self,
        sampling: Sampling,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sampling = sampling
        self._say = say
        self._clock = clock
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._interrupt = threading.Event()
        self._ending = False

    def order(self, order: Order) -> None:
        """Begin with this instead of what is being done. From any thread."""
        self._orders.put(order)
        self._interrupt.set()

    def end(self) -> None:
        """End soon. From any thread, or a signal's handler."""
        self._ending = True
        self._orders.put(None)
        self._interrupt.set()

    def serve(self, first: Order, *, idle: float) -> None:
        """Carry out the first order and those that come, until none has come for `idle` seconds."""
        self._orders.put(first)
        while not self._ending:
            try:
                order = self._orders.get(timeout=idle)
            except queue.Empty:
                break
            if order is not None:
                self._interrupt.clear()
                # One that is newer than this may be waiting.
                if self._orders.empty() and not self._ending:
                    self.carry_out(order)
        self._tell(Kind.ENDED, first)

    def take_turns(self, order: Order, turn: Callable[[], tuple[float, str]]) -> None:
        """Sample while it is this pod's turn. `turn` says until when, and of which container."""
        while not self._ending:
            until, container_id = turn()
            left = until - self._clock()
            if left > 0:
                seconds = min(left, max(order.window, _TURN_PERIOD))
                self.carry_out(
                    replace(order, seconds=seconds, container_id=container_id), told=False
                )
            else:
                self._interrupt.wait(_TURN_PERIOD)
        self._tell(Kind.ENDED, order)

    def carry_out(self, order: Order, *, told: bool = True) -> None:
        """Sample as ordered; that it cannot is said, and no error."""
        if told:
            self._tell(Kind.BEGAN, order)
        try:
            for line in self._sampling(order, self._interrupt):
                self._say(line)
        except SamplingRefused as refused:
            self._tell(Kind.REFUSED, order, reason=refused.reason, message=str(refused))
            if not told:
                self._interrupt.wait(6 * _TURN_PERIOD)
            return
        if told and not self._interrupt.is_set():
            self._tell(Kind.DONE, order)

    def _tell(self, kind: Kind, order: Order, *, reason: str = "", message: str = "") -> None:
        self._say(to_line(Event(kind, self._clock(), order.run, reason, message)))


def address(environment: Mapping[str, str]) -> str:
    """The name of the socket for orders: abstract, so that it needs no file.

    Its name has the pod's and the container's in it, as pods on the host's network share one space.
    """
    pod = environment.get("FORETIDE_POD", "")
    return f"\0foretide-profiler/{pod}/{environment.get('FORETIDE_CONTAINER', '')}"


def listen(resident: Resident, base: Order, name: str) -> socket.socket:
    """Take orders at the socket of that name, from processes of the same user only."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(name)
    server.listen(1)

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # closed
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5.0)
                connection.sendall(_take(resident, base, connection).encode())

    threading.Thread(target=serve, name="orders", daemon=True).start()
    return server


def _take(resident: Resident, base: Order, connection: socket.socket) -> str:
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    if _CREDENTIALS.unpack(packed)[1] != os.geteuid():
        return "refused: not the same user"
    text = connection.recv(_LONGEST_ORDER).decode(errors="replace")
    if text == "end":
        resident.end()
        return "ok"
    try:
        resident.order(base.changed_by(text))
    except ValueError as error:
        return f"refused: {error}"
    return "ok"


def send(text: str, name: str) -> str:
    """Send an order to the resident of this container, and its answer.

    Raises:
        OSError: there is none.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(10.0)
        client.connect(name)
        client.sendall(text.encode())
        return client.recv(_LONGEST_ORDER).decode(errors="replace")


def read_turn(path: Path) -> tuple[float, str]:
    """Until when it is this pod's turn (Unix seconds), and which container it is about.

    The file shows an annotation of the pod. Without it, or where it cannot be read, there is none.
    """
    try:
        until, _, container_id = path.read_text(encoding="utf-8").strip().partition(" ")
        return float(until), container_id
    except (OSError, ValueError):
        return 0.0, ""


def owner_of_others(root: Path = Path("/proc")) -> tuple[int, int] | None:
    """User and group of the first process that is not ours, as /proc shows them to everybody.

    In an ephemeral container with a target that is the target's first process.
    """
    own = _namespace_peers(root)
    for pid in sorted(int(it.name) for it in root.iterdir() if it.name.isdigit()):
        if pid in own:
            continue
        try:
            lines = (root / str(pid) / "status").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        found = dict(line.split(":", 1) for line in lines if ":" in line)
        return int(found["Uid"].split()[1]), int(found["Gid"].split()[1])
    return None


def _namespace_peers(root: Path) -> set[int]:
    """This process and those that started it."""
    own, pid = set(), os.getpid()
    while pid > 0 and pid not in own:
        own.add(pid)
        try:
            stat = (root / str(pid) / "stat").read_text(encoding="utf-8")
        except OSError:
            break
        pid = int(stat.rpartition(")")[2].split()[1])
    return own


def main(arguments: Iterable[str] | None = None) -> int:
    """Run as the arguments say; returns the exit status."""
    options = _parser().parse_args(None if arguments is None else list(arguments))
    name = address(os.environ)
    if options.order is not None:
        try:
            answer = send(options.order, name)
        except OSError as error:
            answer = f"refused: {error}"
        print(answer, flush=True)
        return 0 if answer == "ok" else 1
    if options.probe:
        return _probe()
    order = _order(options)
    resident = Resident(_sampling(), lambda line: print(line, flush=True))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: resident.end())
    if options.turn is not None:
        resident.take_turns(order, lambda: read_turn(options.turn))
        return 0
    with listen(resident, order, name):
        resident.serve(order, idle=options.idle)
    return 0


def _probe() -> int:
    owner = owner_of_others()
    if owner is None:
        event = Event(
            Kind.REFUSED, time.time(), reason="NoProcess", message="no other process is to be seen"
        )
    else:
        event = Event(Kind.USER, time.time(), uid=owner[0], gid=owner[1])
    print(to_line(event), flush=True)
    return 0


def _order(options: argparse.Namespace) -> Order:
    labels = dict(pair.split("=", 1) for pair in options.label)
    for key in ("pod", "node"):
        if value := os.environ.get(f"FORETIDE_{key.upper()}"):
            labels[key] = value
    return Order(
        run=options.run,
        seconds=options.seconds,
        rate=options.rate,
        window=options.window,
        locals=options.locals,
        container_id=options.container_id,
        labels=labels,
    )


def _sampling() -> Sampling:
    from .resident_sampling import sampling

    return sampling


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="foretide.profiling.resident")
    parser.add_argument("--probe", action="store_true", help="say as whom the application runs")
    parser.add_argument("--order", metavar="JSON", help="send an order to the resident here")
    parser.add_argument("--run", default="", help="comes back with each window")
    parser.add_argument("--seconds", type=float, default=None, help="for how long to sample")
    parser.add_argument("--idle", type=float, default=0.0, help="seconds to wait for more orders")
    parser.add_argument("--rate", type=float, default=20.0, help="samples per second")
    parser.add_argument("--window", type=float, default=10.0, help="seconds of a window")
    parser.add_argument("--turn", type=Path, metavar="FILE", help="says until when to sample")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--container-id", default="", help="look at this container only")
    parser.add_argument("--locals", action="store_true", help="let local variables leave the pod")
    return parser


if __name__ == "__main__":
    sys.exit(main())
