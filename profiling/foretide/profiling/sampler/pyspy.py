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
from dataclasses import dataclass

from ..window import Frame

_THREAD = re.compile(r"^thread \((0x[0-9A-Fa-f]+|\d+)\)(?:: (.*))?$", re.DOTALL)
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


def complaint(stderr: bytes) -> str:
    """What went wrong, from what py-spy has printed, without its progress."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith("py-spy>"))


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
    threads = []
    for profile in profiles:
        tag = _PROFILE.match(profile["name"])
        indices = []
        for sample in profile["samples"]:
            if sample and sample[0] in tags:
                tag = tag or tags[sample[0]]
            stack = tuple(place[number] for number in sample if number in place)
            indices.append(known.setdefault(stack, len(known)))
        identity, name = (tag.group(1), tag.group(2)) if tag else ("", "")
        is_address = identity[:2] in ("0x", "0X")
        threads.append(
            ThreadSamples(
                tid=int(identity) if identity and not is_address else None,
                pthread=int(identity, 16) if is_address else None,
                name=name or "",
                stacks=indices,
            )
        )
    return Recording(frames, list(known), threads)
