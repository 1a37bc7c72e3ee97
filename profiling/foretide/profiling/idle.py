"""Which stacks are of threads that wait for something to do: they are no hotspot.

A pool's thread that waits for its next task, a server that waits for a connection, an event loop
that waits for events, and a thread that waits for the others to end. A thread that waits in the
middle of its work, for an answer or for a lock, is not idle.
"""

from collections.abc import Sequence
from functools import lru_cache

from .leaves import Leaf, in_library, leaf_of
from .window import Frame

# Functions that wait for work, by the end of their file's path; of the standard library first.
_WAIT_FOR_WORK = {
    ("queue.py", "get"),
    ("concurrent/futures/thread.py", "_worker"),
    ("concurrent/futures/process.py", "wait_result_broken_or_wakeup"),
    ("concurrent/futures/process.py", "_process_worker"),
    ("multiprocessing/pool.py", "worker"),
    ("multiprocessing/pool.py", "_wait_for_updates"),
    ("multiprocessing/pool.py", "_handle_results"),
    ("multiprocessing/managers.py", "serve_client"),
    ("multiprocessing/queues.py", "get"),
    ("multiprocessing/queues.py", "_feed"),
    ("asyncio/base_events.py", "_run_once"),
    ("socketserver.py", "serve_forever"),
    ("socket.py", "accept"),
    ("sched.py", "run"),
    ("logging/handlers.py", "dequeue"),
    ("threading.py", "join"),
    ("threading.py", "_shutdown"),
    ("threading.py", "_wait_for_tstate_lock"),
    ("gunicorn/arbiter.py", "sleep"),
    ("gunicorn/workers/sync.py", "wait"),
    ("gunicorn/workers/sync.py", "accept"),
    ("gunicorn/workers/gthread.py", "run"),
    ("waitress/task.py", "handler_thread"),
    ("waitress/wasyncore.py", "loop"),
    ("cheroot/workers/threadpool.py", "run"),
    ("cheroot/connections.py", "get_conn"),
    ("gevent/hub.py", "run"),
    ("eventlet/hubs/hub.py", "run"),
    ("eventlet/hubs/poll.py", "wait"),
    ("tornado/ioloop.py", "start"),
    ("twisted/internet/epollreactor.py", "doPoll"),
    ("kombu/transport/redis.py", "on_poll_start"),
    ("celery/concurrency/asynpool.py", "wait_for_job"),
    ("billiard/pool.py", "wait_for_job"),
    ("apscheduler/schedulers/blocking.py", "_main_loop"),
    ("werkzeug/serving.py", "serve_forever"),
    ("grpc/_server.py", "_serve"),
}
_STANDARD = {
    name
    for name, _ in _WAIT_FOR_WORK
    if name.split("/")[0]
    in ("queue.py", "concurrent", "multiprocessing", "asyncio", "socketserver.py", "socket.py")
    or name in ("sched.py", "threading.py", "logging/handlers.py")
}
# Frames of waiting itself, below the function that waits for work.
_WAITS = (Leaf.LOCKS, Leaf.POLLS, Leaf.SLEEPS, Leaf.CHILD)
_BELOW = 4
_PIPE = "multiprocessing/connection.py"


def is_idle(stack: Sequence[Frame], text: str | None = None) -> bool:
    """Whether a thread with that stack (root first) waits for something to do.

    `text` is the source of the innermost line, if known: a worker's own `queue.get()` calls into C.
    """
    if not stack:
        return False
    if (task := _without_pipe(stack)) is not stack:
        return bool(task) and _waits_for_work(task[-1])
    leaf = leaf_of(stack[-1], text)
    if _waits_for_work(stack[-1]) and leaf is not Leaf.WORKS:
        return True
    if leaf not in _WAITS:
        return False
    if leaf is Leaf.POLLS and text is not None and ".accept(" in text:
        return True
    # The function that waits for work is right above the waiting, not somewhere among its callers:
    # everything that a pool does is called by the pool.
    for frame in reversed(stack[-_BELOW:]):
        if _waits_for_work(frame):
            return True
        if not _is_waiting(frame):
            return text is not None and _gets_a_task(text) and frame is stack[-1]
    return False


def _without_pipe(stack: Sequence[Frame]) -> Sequence[Frame]:
    """What reads from another process, without the reading; the stack itself where nothing does."""
    if leaf_of(stack[-1]) is not Leaf.NETWORK or not _in_pipe(stack[-1]):
        return stack
    above = len(stack)
    while above and _in_pipe(stack[above - 1]):
        above -= 1
    return stack[:above]


def _in_pipe(frame: Frame) -> bool:
    file = frame.file.replace("\\", "/")
    return file.endswith(_PIPE) and in_library(file, _PIPE)


def _is_waiting(frame: Frame) -> bool:
    return leaf_of(frame) in _WAITS


def _gets_a_task(text: str) -> bool:
    """Whether the line takes from a queue: in C for a SimpleQueue, so without a frame of it."""
    return "queue" in text.lower() and ".get(" in text


@lru_cache(maxsize=65_536)
def _waits_for_work(frame: Frame) -> bool:
    file = frame.file.replace("\\", "/")
    parts = file.split("/")
    for size in (1, 2, 3):
        name = "/".join(parts[-size:])
        if (name, frame.own_name) in _WAIT_FOR_WORK:
            return name not in _STANDARD or in_library(file, name)
    return False
