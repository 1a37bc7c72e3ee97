"""Whether a thread that waits, waits for something to do, or is held up in what it does.

A worker in `Queue.get` and one at a contended lock wait in the same system call. What tells them
apart is who called: the stack.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache

from .leaves import Leaf, leaf_of
from .window import Frame, Window


class Purpose(StrEnum):
    """What a wait with this stack is for, in the light of who called."""

    PARKED = "parked"  # for an order, a client, another thread's result: no limit of its own
    HELD_UP = "held up"  # for a lock, an answer, a disk
    WORKS = "works"  # or cannot be told: then what was measured decides


# Functions that wait for an order, by the end of their file's path.
_PARKED: Mapping[str, frozenset[str]] = {
    "queue.py": frozenset({"get", "put", "join"}),
    "threading.py": frozenset({"join", "_wait_for_tstate_lock", "_shutdown", "wait_for"}),
    "concurrent/futures/thread.py": frozenset({"_worker"}),
    "concurrent/futures/_base.py": frozenset({"result", "wait", "exception", "result_iterator"}),
    "concurrent/futures/process.py": frozenset({"wait_result_broken_or_wakeup"}),
    "multiprocessing/pool.py": frozenset({"worker", "wait", "get", "_wait_for_updates"}),
    "multiprocessing/queues.py": frozenset({"get"}),
    "multiprocessing/process.py": frozenset({"join"}),
    "sched.py": frozenset({"run"}),
    # Servers of the standard library and gunicorn's, while they wait for a request.
    "socketserver.py": frozenset({"serve_forever", "get_request"}),
    "wsgiref/simple_server.py": frozenset({"handle_one_request"}),
    "gunicorn/workers/sync.py": frozenset({"wait", "accept"}),
    "gunicorn/workers/gthread.py": frozenset({"murder_keepalived", "poller"}),
    "gunicorn/arbiter.py": frozenset({"sleep"}),
}
# These read a request, or its first line, and then handle it: parked only where nothing of theirs
# but the reading is above them.
_READ_REQUESTS: Mapping[str, frozenset[str]] = {
    "http/server.py": frozenset({"handle_one_request"}),
    "wsgiref/simple_server.py": frozenset({"handle"}),
    "gunicorn/http/parser.py": frozenset({"__next__"}),
    "socketserver.py": frozenset({"setup"}),
    # A process' next task comes by a pipe.
    "multiprocessing/queues.py": frozenset({"get"}),
    "multiprocessing/pool.py": frozenset({"_handle_results"}),
    "multiprocessing/managers.py": frozenset({"serve_client"}),
}
_READERS = ("socket.py", "ssl.py", "gunicorn/http/unreader.py", "multiprocessing/connection.py")
_SEMAPHORE = frozenset({"acquire", "__enter__"})
_ORDERS = (".get(", ".join(", ".wait(", ".result(", ".wait_for(")


def purposes(window: Window) -> tuple[Purpose, ...]:
    """The purpose of each of the window's stacks."""
    return tuple(_purpose(window, stack) for stack in window.stacks)


def _purpose(window: Window, stack: Sequence[int]) -> Purpose:
    if not stack:
        return Purpose.WORKS
    frames = [window.frames[index] for index in stack]
    text = window.source.get(stack[-1])
    leaf = leaf_of(frames[-1], text)
    if _reads_a_request(frames):
        return Purpose.PARKED
    if leaf is Leaf.POLLS:
        # An event loop serves and asks at once: only its sockets tell.
        return Purpose.PARKED if _accepts(frames, text or "") else Purpose.WORKS
    if leaf is Leaf.CHILD:
        return Purpose.PARKED
    if leaf in (Leaf.NETWORK, Leaf.FILE):
        return Purpose.HELD_UP
    if leaf is Leaf.LOCKS:
        return _of_lock(frames, text or "")
    return Purpose.WORKS


def _of_lock(frames: Sequence[Frame], text: str) -> Purpose:
    """Of a stack that ends at a lock: the functions of the standard library around it tell."""
    inner = _innermost(frames)
    if inner and inner[0].own_name in _SEMAPHORE:
        return Purpose.HELD_UP
    if any(_named(frame, _PARKED) for frame in frames[-4:]):
        return Purpose.PARKED
    if inner:
        # A condition or an event that somebody else sets.
        return Purpose.PARKED if inner[0].own_name == "wait" else Purpose.HELD_UP
    return Purpose.PARKED if any(order in text for order in _ORDERS) else Purpose.HELD_UP


def _innermost(frames: Sequence[Frame]) -> Sequence[Frame]:
    """The frames of `threading` that the wait is in, and not those that have started its thread."""
    first = len(frames)
    while first and _inside(frames[first - 1].file, "threading.py"):
        first -= 1
    return frames[first:]


def _accepts(frames: Sequence[Frame], text: str) -> bool:
    return (
        frames[-1].own_name == "accept"
        or ".accept(" in text
        or any(_named(frame, _PARKED) for frame in frames[-4:])
    )


def _reads_a_request(frames: Sequence[Frame]) -> bool:
    above = len(frames) - 1
    while above >= 0 and any(_inside(frames[above].file, reader) for reader in _READERS):
        above -= 1
    return above >= 0 and _named(frames[above], _READ_REQUESTS)


def _named(frame: Frame, names: Mapping[str, frozenset[str]]) -> bool:
    return any(
        frame.own_name in functions and _inside(frame.file, file)
        for file, functions in names.items()
    )


@lru_cache(maxsize=16_384)
def _inside(file: str, end: str) -> bool:
    """Whether it is that file of a library, and not one of the application's of the same name."""
    path = file.replace("\\", "/")
    if path == end:
        return True
    if not path.endswith(f"/{end}"):
        return False
    library = path.removesuffix(f"/{end}").rpartition("/")[2]
    return library.startswith(("python", "Lib", "site-packages", "dist-packages"))
