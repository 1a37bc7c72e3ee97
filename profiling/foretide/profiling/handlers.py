"""Whose work a stack is: of a request's handler, of a task, or of a pool of threads.

Frameworks call handlers from a function of theirs that is the same in every application; what it
calls, once the framework's own frames are left, is the handler.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from .window import Frame


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """Who the work is done for. `kind`: the framework's name, "pool" or "thread"."""

    kind: str
    name: str
    file: str = ""


# The function that calls handlers, by the end of its file's path; the framework's name; and the
# packages whose frames stand between it and the handler.
_DISPATCHERS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("flask/app.py", "dispatch_request", "Flask", ("flask", "werkzeug")),
    ("django/core/handlers/base.py", "_get_response", "Django", ("django", "asgiref")),
    ("django/core/handlers/base.py", "_get_response_async", "Django", ("django", "asgiref")),
    ("fastapi/routing.py", "run_endpoint_function", "FastAPI", ("fastapi", "starlette", "anyio")),
    ("starlette/routing.py", "app", "Starlette", ("starlette", "fastapi", "anyio")),
    ("aiohttp/web_app.py", "_handle", "aiohttp", ("aiohttp",)),
    ("aiohttp/web_protocol.py", "_handle_request", "aiohttp", ("aiohttp",)),
    ("tornado/web.py", "_execute", "Tornado", ("tornado",)),
    ("pyramid/router.py", "handle_request", "Pyramid", ("pyramid",)),
    ("bottle.py", "_handle", "Bottle", ("bottle",)),
    ("falcon/app.py", "__call__", "Falcon", ("falcon",)),
    ("sanic/app.py", "handle_request", "Sanic", ("sanic",)),
    ("celery/app/trace.py", "trace_task", "Celery", ("celery",)),
    ("rq/job.py", "_execute", "RQ", ("rq",)),
    ("dramatiq/worker.py", "process_message", "Dramatiq", ("dramatiq",)),
    ("huey/api.py", "_execute", "Huey", ("huey",)),
    ("grpc/_server.py", "_call_behavior", "gRPC", ("grpc",)),
    ("gunicorn/workers/sync.py", "handle_request", "WSGI", ("gunicorn",)),
    ("gunicorn/workers/gthread.py", "handle_request", "WSGI", ("gunicorn",)),
    ("waitress/task.py", "execute", "WSGI", ("waitress",)),
    ("wsgiref/handlers.py", "run", "WSGI", ("wsgiref",)),
    ("http/server.py", "handle_one_request", "http.server", ("http",)),
    ("socketserver.py", "finish_request", "socketserver", ("socketserver",)),
    ("concurrent/futures/thread.py", "run", "task", ("concurrent",)),
    ("starlette/concurrency.py", "run_in_threadpool", "Starlette", ("starlette", "anyio")),
    ("anyio/_backends/_asyncio.py", "run", "task", ("anyio", "starlette", "fastapi")),
)
_BY_NAME = {(file, function): (kind, skip) for file, function, kind, skip in _DISPATCHERS}
# Frames that stand between in any framework: decorators and context, not work of a handler's own.
_BETWEEN = ("functools.py", "contextlib.py", "contextvars.py")
# Of several that are on one stack the first of these is the one that people know the work by.
_RANK = {"task": 2, "WSGI": 1, "socketserver": 1}


def group_of(stack: Sequence[Frame], pool: str = "") -> Group:
    """Whose work a stack (root first) is; `pool` is the name of its thread's pool."""
    best: tuple[int, Group] | None = None
    for depth, frame in enumerate(stack):
        found = _dispatcher(frame)
        if found is None:
            continue
        kind, skip = found
        handler = _handler(stack[depth + 1 :], skip)
        rank = _RANK.get(kind, 0)
        if handler is not None and (best is None or rank <= best[0]):
            best = (rank, Group(kind, handler.function, handler.file))
    if best is not None:
        return best[1]
    name = pool or "unnamed threads"
    return Group("pool" if "*" in name else "thread", name)


def _handler(below: Sequence[Frame], skip: tuple[str, ...]) -> Frame | None:
    """The first frame below that is not the framework's own."""
    for frame in below:
        parts = frame.file.replace("\\", "/").split("/")
        inside = any(name in parts[:-1] or f"{name}.py" == parts[-1] for name in skip)
        if not inside and parts[-1] not in _BETWEEN:
            return frame
    return None


@lru_cache(maxsize=65_536)
def _dispatcher(frame: Frame) -> tuple[str, tuple[str, ...]] | None:
    parts = frame.file.replace("\\", "/").split("/")
    for size in (1, 2, 3, 4):
        found = _BY_NAME.get(("/".join(parts[-size:]), frame.own_name))
        if found is not None:
            return found
    return None
