"""Finds and runs py-spy, and reads what it writes (speedscope's format, with all samples in order).

Of py-spy's formats speedscope's alone keeps each thread's samples one by one, so that the n-th can
be joined with what /proc said at the n-th moment. `--function` would give each function's first
line for the line it was at, so it is not asked for.
"""

import json
import os
import re
import shutil
import sys
from collections import Counter
from dataclasses import dataclass

from ..window import Frame

_THREAD = re.compile(r"^thread \((0x[0-9A-Fa-f]+|\d+)\)(?:: (.*))?$", re.DOTALL)
_LOST = b"Failed to get stack trace from "
_AGAIN = b"Failed to connect to process, retrying"
_PROFILE = re.compile(r"^(?:Process \d+ )?Thread (0x[0-9A-Fa-f]+|\d+)(?: \"(.*)\")?$", re.DOTALL)


class PySpyError(Exception):
    """py-spy could not do it; the message is its own, or says what to do."""


@dataclass(frozen=True, slots=True)
class ThreadSamples:
    """One thread's samples in order, each an index into `Recording.stacks`.

    `tid` is the kernel's; where py-spy does not know it, `pthread` is the thread's address instead.
    """

    tid: int | None
    pthread: int | None
    name: str
    stacks: list[int]


@dataclass(frozen=True, slots=True)
class Recording:
    """All that py-spy has seen. Stacks are indices into `frames`, root first."""

    frames: list[Frame]
    stacks: list[tuple[int, ...]]
    threads: list[ThreadSamples]


def executable() -> str:
    """py-spy: beside this Python, or on PATH; `FORETIDE_PY_SPY` names another.

    Raises:
        PySpyError: there is none.
    """
    if named := os.environ.get("FORETIDE_PY_SPY"):
        return named
    beside = os.path.join(os.path.dirname(sys.executable), "py-spy")
    if os.access(beside, os.X_OK):
        return beside
    if found := shutil.which("py-spy"):
        return found
    raise PySpyError(
        "py-spy is missing: install foretide[profiling], or name it in FORETIDE_PY_SPY"
    )


def arguments(
    pid: int, output: int, *, rate: int, samples: int, blocking: bool = True, native: bool = False
) -> list[str]:
    """py-spy's command line; it writes to the open descriptor `output`."""
    line = [
        executable(),
        "record",
        *("--pid", str(pid)),
        *("--format", "speedscope"),
        *("--rate", str(rate)),
        *("--duration", str(max(1, -(-samples // rate)))),
        *("--output", f"/proc/self/fd/{output}"),
        *("--idle", "--threads", "--full-filenames"),
    ]
    if not blocking:
        line.append("--nonblocking")
    if native:
        line.append("--native")
    return line


def environment() -> dict[str, str]:
    """py-spy's: it is to log what it could not do, and no more. A user's own settings could have it
    log at each call, or tell a stack of its own for an error.
    """
    log = "warn,py_spy::python_spy=info"
    return {**os.environ, "RUST_LOG": log, "RUST_LOG_STYLE": "never", "RUST_BACKTRACE": "0"}


def written(descriptor: int) -> bytes:
    """All that py-spy has written to a file that it has from us."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def complaint(stderr: bytes) -> str:
    """What went wrong, from what py-spy has printed, without its progress and its log."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines()]
    told = [line for line in lines if line and not line.startswith(("py-spy>", "["))]
    # Causes are numbered, and often the same.
    causes = (re.sub(r"^\d+: ", "", line) for line in told if line != "Caused by:")
    return "; ".join(dict.fromkeys(causes))


def lost(stderr: bytes) -> int:
    """How many samples this part of py-spy's log says it could not take: a line for each."""
    return stderr.count(_LOST)


def tries_again(stderr: bytes) -> bool:
    """Does this part of its log say that it could not find its way in a process yet?"""
    return _AGAIN in stderr


def failures(stderr: bytes) -> int:
    """How many samples py-spy says it could not take; they are missing among each thread's."""
    found = re.search(rb"Errors: (\d+)", stderr)
    return int(found.group(1)) if found else 0


def parse(text: str | bytes) -> Recording:
    """Read speedscope's JSON as py-spy writes it.

    Raises:
        PySpyError: it is something else, or was cut off.
    """
    try:
        document = json.loads(text)
        raw_frames = document["shared"]["frames"]
        profiles = document["profiles"]
    except (ValueError, KeyError, TypeError) as error:
        raise PySpyError(f"py-spy wrote no profile: {error}") from error
    tags: dict[int, re.Match[str]] = {}
    place: dict[int, int] = {}
    frames: list[Frame] = []
    for number, raw in enumerate(raw_frames):
        if not raw.get("file") and (tag := _THREAD.match(raw["name"])):
            tags[number] = tag  # stands for the thread, and is no frame of it
            continue
        place[number] = len(frames)
        frames.append(Frame(raw["name"], raw.get("file") or "", raw.get("line") or 0))
    known: dict[tuple[int, ...], int] = {}
    threads: list[ThreadSamples] = []
    for profile in profiles:
        whole = _PROFILE.match(profile["name"])
        # py-spy tells threads by their address, which the next one may have been given: each
        # sample says whose it is.
        indices: dict[str, list[int]] = {}
        names: dict[str, Counter[str]] = {}
        for sample in profile["samples"]:
            tag = (tags.get(sample[0]) if sample else None) or whole
            stack = tuple(place[number] for number in sample if number in place)
            identity, name = (tag[1], tag[2] or "") if tag else ("", "")
            indices.setdefault(identity, []).append(known.setdefault(stack, len(known)))
            names.setdefault(identity, Counter())[name] += 1
        for identity, stacks in indices.items():
            # The name, too, may at first be that of the one before.
            ((name, _),) = names[identity].most_common(1)
            threads.append(_of_thread(identity, name, stacks))
    return Recording(frames, list(known), threads)


def _of_thread(identity: str, name: str, stacks: list[int]) -> ThreadSamples:
    is_address = identity[:2] in ("0x", "0X")
    return ThreadSamples(
        tid=int(identity) if identity and not is_address else None,
        pthread=int(identity, 16) if is_address else None,
        name=name,
        stacks=stacks,
    )
