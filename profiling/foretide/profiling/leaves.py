"""What the innermost frame of a stack says of its thread: that it works, waits, or may do either.

A call into C has no frame of its own, so a thread in `time.sleep` is seen at the line that called
it. Functions of the standard library that exist to wait are known by name; of other lines, the text
tells where it is to be had. Reading a line is a hint and not proof: what it leaves open is decided
by what was measured (`weights.py`). Standard library only: the sampler may use it inside pods.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

from .window import Frame, Window


class Leaf(StrEnum):
    """Whether a thread at this line uses the CPU, and what it waits for where it does not."""

    SLEEPS = "sleeps"
    LOCKS = "locks"  # a lock, a queue, another thread, a future
    POLLS = "polls"  # select, epoll, accept
    CHILD = "child"
    NETWORK = "network"  # waits, but copies and encrypts on the CPU, too
    FILE = "file"
    INPUT = "input"  # reads or writes, and what cannot be told
    WORKS = "works"  # calls nothing: it works, or waits for the GIL
    UNKNOWN = "unknown"


# At these a thread uses next to no CPU, whatever a sampler took it for.
WAITING = frozenset({Leaf.SLEEPS, Leaf.LOCKS, Leaf.POLLS, Leaf.CHILD})

# Functions of the standard library, by their file in it. Their own Python is a few lines: a thread
# whose innermost frame they are is in the C call that they exist for.
_STANDARD: Mapping[str, Mapping[str, Leaf]] = {
    "threading.py": dict.fromkeys(
        ("wait", "wait_for", "join", "acquire", "__enter__", "_wait_for_tstate_lock"), Leaf.LOCKS
    ),
    "queue.py": dict.fromkeys(("get", "put", "join"), Leaf.LOCKS),
    "selectors.py": {"select": Leaf.POLLS},
    "asyncore.py": dict.fromkeys(("poll", "poll2"), Leaf.POLLS),
    "socket.py": {
        "accept": Leaf.POLLS,
        **dict.fromkeys(("readinto", "create_connection", "sendfile"), Leaf.NETWORK),
        **dict.fromkeys(("getaddrinfo", "gethostbyname"), Leaf.NETWORK),
    },
    "ssl.py": dict.fromkeys(
        ("read", "recv", "recv_into", "write", "send", "sendall", "do_handshake"), Leaf.NETWORK
    ),
    "subprocess.py": dict.fromkeys(
        ("wait", "_wait", "_try_wait", "communicate", "_communicate"), Leaf.CHILD
    ),
    "concurrent/futures/thread.py": {"_worker": Leaf.LOCKS},
    "concurrent/futures/_base.py": dict.fromkeys(("result", "wait", "exception"), Leaf.LOCKS),
    "multiprocessing/popen_fork.py": dict.fromkeys(("poll", "wait"), Leaf.CHILD),
    "multiprocessing/connection.py": {
        **dict.fromkeys(("wait", "accept"), Leaf.POLLS),
        **dict.fromkeys(("_recv", "_send"), Leaf.NETWORK),
    },
    "multiprocessing/synchronize.py": dict.fromkeys(("acquire", "__enter__", "wait"), Leaf.LOCKS),
    "multiprocessing/queues.py": {"get": Leaf.LOCKS},
    "multiprocessing/pool.py": {"worker": Leaf.LOCKS},
}
# The first that matches says what the line waits for.
_CALLS = (
    (Leaf.SLEEPS, re.compile(r"\bsleep\(|\bsignal\.pause\(|\bsigwait\w*\(")),
    (Leaf.CHILD, re.compile(r"\bwaitp?i?d?[34]?\(.*\bpid\b|\bos\.wait\w*\(|\.communicate\(")),
    (Leaf.POLLS, re.compile(r"\bselect\(|\be?poll\(|\.kqueue\(|\.accept\(")),
    (
        Leaf.LOCKS,
        re.compile(
            r"\.acquire\(|\.wait\(|\.wait_for\(|\.result\(|\bwith\b.*(lock|mutex|sema|cond)\w*\s*[:,]"
            r"|\b(flock|lockf)\("
            r"|\.join\(\s*(timeout\b.*|[\d.]+\s*)?\)"  # a thread's, and not a string's
            r"|\.get\(\s*\)|\.get\(\s*(block|timeout)\b|(\bq|queue\w*|inbox\w*|tasks?)\.(get|put)\(",
            re.IGNORECASE,
        ),
    ),
    (
        Leaf.NETWORK,
        re.compile(r"\.(recv|send)\w*\(|\.connect\(|\burlopen\(|\.getresponse\(|getaddrinfo\("),
    ),
    (
        Leaf.FILE,
        re.compile(r"\b(fsync|fdatasync|open|listdir|scandir|pread|pwrite)\(|\bos\.sync\("),
    ),
    (
        Leaf.INPUT,
        re.compile(r"\.(read|write)\w*\(|\.flush\(|\binput\(|\.(execute|fetch|commit)\w*\("),
    ),
)
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")
# Calls that cost nothing beside one that waits.
_BESIDE = """
    abs bool float int len max min range round str repr uniform random expovariate time monotonic
    perf_counter if elif while and or not in return assert yield for print
"""
_CHEAP = frozenset(_BESIDE.split())
_STRINGS = re.compile(r"'[^'\\]*(?:\\.[^'\\]*)*'|\"[^\"\\]*(?:\\.[^\"\\]*)*\"")
_MOST_READ = 400
_LIBRARY = re.compile(r"/(site|dist)-packages/|(^|/)lib(64)?/python\d[\d.]*t?/|/python\d+\.zip/")


def leaf_of(frame: Frame, text: str | None = None) -> Leaf:
    """What a thread does whose innermost frame this is; `text` is the line's source, if known."""
    known = _standard(frame.file, frame.own_name)
    if known is not None:
        return known
    return Leaf.UNKNOWN if text is None else read_line(text)


@lru_cache(maxsize=4096)
def read_line(text: str) -> Leaf:
    """What one line of Python source does, as far as its text tells."""
    code = _STRINGS.sub('""', text[:_MOST_READ]).partition("#")[0]
    called = set(_CALL.findall(code)) - _CHEAP
    for leaf, pattern in _CALLS:
        if pattern.search(code):
            # Something else on the line may be what works: then only measuring can tell.
            return leaf if len(called) <= 1 or leaf not in WAITING else Leaf.UNKNOWN
    if not code.strip():
        return Leaf.UNKNOWN
    # Without a call it works, unless it goes on in a line that is not this one.
    return Leaf.UNKNOWN if called or "with " in code or "import " in code else Leaf.WORKS


def leaves_of(window: Window) -> tuple[Leaf, ...]:
    """The leaf of each of the window's stacks."""
    by_frame = {
        index: leaf_of(window.frames[index], window.source.get(index))
        for index in {stack[-1] for stack in window.stacks if stack}
    }
    return tuple(by_frame[stack[-1]] if stack else Leaf.UNKNOWN for stack in window.stacks)


def in_library(file: str, name: str) -> bool:
    """Whether a file is the standard library's `name`: somebody's own queue.py is another one."""
    root = file.removesuffix(name).rstrip("/")
    if "site-packages" in root or "dist-packages" in root:
        return False
    return not root or re.search(r"(^|/)(python\d[\d.]*t?|Lib|python\d+\.zip)$", root) is not None


@lru_cache(maxsize=65_536)
def is_library(file: str) -> bool:
    """Whether a file is of the standard library or an installed package."""
    return file.startswith("<frozen") or _LIBRARY.search(file.replace("\\", "/")) is not None


@lru_cache(maxsize=65_536)
def _standard(file: str, function: str) -> Leaf | None:
    file = file.replace("\\", "/")
    parts = file.split("/")
    for size in (1, 2, 3):
        name = "/".join(parts[-size:])
        found = _STANDARD.get(name, {}).get(function)
        if found is not None and in_library(file, name):
            return found
    return None
