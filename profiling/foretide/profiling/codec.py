"""Windows and profiles as bytes: what Foretide's own files hold, and what the store keeps.

Strings, frames and stacks are kept once for all windows, stacks as a tree of calls; numbers are
LEB128, and all of it is deflated. Times are kept to a microsecond. Windows come back as they were;
they are what comparisons need. A profile is smaller, and keeps what they say together.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from .packing import Reader, Writer, inflate
from .profile import MOST_FRAMES, BadProfile, Entry, Profile, room_after
from .records import from_plain, to_plain
from .window import Frame, Samples, ThreadState, Window, is_whole

WINDOWS_MAGIC = b"foretide windows 1\n"
PROFILE_MAGIC = b"foretide profile 1\n"
CONTENT_TYPE = "application/vnd.foretide.profile"
_MICRO = 1_000_000
_STATES = tuple(ThreadState)
_Record = TypeVar("_Record")
# The deepest stack that is believed: Python's own limit is 1,000 by default.
_DEEPEST = 20_000
# Each window has its own stacks: a day of many threads has some hundred millions of frames.
_MOST_FRAMES = 10 * MOST_FRAMES


class _Tables:
    """Frames, and stacks as nodes of one tree: a node is its caller and its frame."""

    def __init__(self) -> None:
        self.strings: dict[str, int] = {}
        self.frames: dict[Frame, int] = {}
        self.nodes: dict[tuple[int, int], int] = {}

    def frame(self, frame: Frame) -> int:
        found = self.frames.get(frame)
        if found is None:
            for text in (frame.function, frame.file):
                self.strings.setdefault(text, len(self.strings))
            found = self.frames[frame] = len(self.frames)
        return found

    def stack(self, frames: Sequence[int]) -> int:
        """The stack's last node, from 1; 0 for a stack without frames."""
        node = 0
        for frame in frames:
            node = self.nodes.setdefault((node, frame), len(self.nodes) + 1)
        return node

    def write(self, out: Writer) -> None:
        out.block(_json(list(self.strings)))
        out.number(len(self.frames))
        for frame in self.frames:
            out.numbers((self.strings[frame.function], self.strings[frame.file]))
            out.signed(frame.line)
        out.number(len(self.nodes))
        for index, (caller, frame_index) in enumerate(self.nodes):
            out.numbers((index - caller, frame_index))


def pack_windows(windows: Sequence[Window]) -> bytes:
    """Windows as bytes."""
    tables, body = _Tables(), Writer()
    body.number(len(windows))
    for window in windows:
        frames = [tables.frame(frame) for frame in window.frames]
        stacks = [tables.stack([frames[index] for index in stack]) for stack in window.stacks]
        body.block(_json(to_plain(replace(window, frames=(), stacks=(), samples=()))))
        for indices in (frames, stacks):
            body.number(len(indices))
            previous = 0
            for index in indices:
                body.signed(index - previous)
                previous = index
        body.number(len(window.samples))
        for column in zip(*map(_row, window.samples), strict=True):
            body.numbers(column)
    return _finish(WINDOWS_MAGIC, tables, body)


def unpack_windows(data: bytes) -> tuple[Window, ...]:
    """The windows that `pack_windows` has packed.

    Raises:
        BadProfile: it is something else, cut off or damaged.
    """
    reader, frames, stacks = _open(WINDOWS_MAGIC, data)
    windows = []
    left = _MOST_FRAMES
    for _ in range(reader.count()):
        plain = _object(reader.block())
        of_frames = _deltas(reader, len(frames))
        of_stacks = _deltas(reader, len(stacks))
        left = room_after(left, sum(len(stacks[index]) for index in of_stacks))
        here = {index: at for at, index in enumerate(of_frames)}
        try:
            of_window = tuple(tuple(here[one] for one in stacks[index]) for index in of_stacks)
        except KeyError:
            raise BadProfile("it is damaged: a stack has a frame that its window lacks") from None
        plain |= {"frames": [], "stacks": [], "samples": []}
        window = from_plain(Window, plain)
        samples = _samples(reader, len(window.threads), len(of_window))
        window = replace(
            window,
            frames=tuple(frames[index] for index in of_frames),
            stacks=of_window,
            samples=samples,
        )
        if not is_whole(window):
            raise BadProfile("it is damaged: a window points to what it lacks, or has no length")
        windows.append(window)
    return tuple(windows)


def pack_profile(profile: Profile) -> bytes:
    """A profile as bytes."""
    tables, body = _Tables(), Writer()
    frames = [tables.frame(frame) for frame in profile.frames]
    stacks = [tables.stack([frames[index] for index in stack]) for stack in profile.stacks]
    body.block(_json(to_plain(replace(profile, entries=(), frames=(), stacks=()))))
    body.number(len(stacks))
    body.numbers(stacks)
    body.number(len(profile.entries))
    for entry in profile.entries:
        body.numbers((entry.thread, entry.stack, _STATES.index(entry.state)))
        body.numbers(round(one * _MICRO) for one in (entry.cpu, entry.wall, entry.samples))
    return _finish(PROFILE_MAGIC, tables, body)


def unpack_profile(data: bytes) -> Profile:
    """The profile that `pack_profile` has packed.

    Raises:
        BadProfile: it is something else, cut off or damaged.
    """
    reader, frames, nodes = _open(PROFILE_MAGIC, data)
    plain = _object(reader.block()) | {"entries": [], "frames": [], "stacks": []}
    profile = from_plain(Profile, plain)
    stacks = tuple(nodes[reader.index(len(nodes))] for _ in range(reader.count()))
    entries = []
    for _ in range(reader.count()):
        thread, stack = reader.index(len(profile.threads)), reader.index(len(stacks))
        state = _STATES[reader.index(len(_STATES))]
        cpu, wall, samples = (reader.number() / _MICRO for _ in range(3))
        entries.append(Entry(thread, stack, state, cpu, wall, samples))
    _check_source(profile.source, len(frames))
    return replace(profile, entries=tuple(entries), frames=frames, stacks=stacks)


def _row(one: Samples) -> tuple[int, int, int, int, int]:
    return (one.thread, one.stack, one.count, 0 if one.active is None else one.active + 1, one.part)


def _samples(reader: Reader, threads: int, stacks: int) -> tuple[Samples, ...]:
    size = reader.count()
    thread = [reader.index(threads) for _ in range(size)]
    stack = [reader.index(stacks) for _ in range(size)]
    count, active, part = ([reader.number() for _ in range(size)] for _ in range(3))
    return tuple(
        Samples(a, b, c, None if d == 0 else d - 1, e)
        for a, b, c, d, e in zip(thread, stack, count, active, part, strict=True)
    )


def _deltas(reader: Reader, size: int) -> list[int]:
    found, previous = [], 0
    for _ in range(reader.count()):
        previous += reader.signed()
        if not 0 <= previous < size:
            raise BadProfile("it is damaged: it points to what is not there")
        found.append(previous)
    return found


def _finish(magic: bytes, tables: _Tables, body: Writer) -> bytes:
    head = Writer()
    tables.write(head)
    return magic + zlib.compress(bytes(head.data + body.data), 9)


def _open(magic: bytes, data: bytes) -> tuple[Reader, tuple[Frame, ...], list[tuple[int, ...]]]:
    """A reader behind the tables; the frames, and of each node its stack as indices of frames."""
    if not data.startswith(magic):
        raise BadProfile(f"it does not begin with {magic.decode().strip()!r}")
    reader = Reader(inflate(data[len(magic) :]))
    try:
        strings = json.loads(reader.block())
    except (ValueError, RecursionError):
        raise BadProfile("it is damaged: its names are no JSON") from None
    if not isinstance(strings, list) or not all(isinstance(one, str) for one in strings):
        raise BadProfile("it is damaged: its names are no strings")
    frames = []
    for _ in range(reader.count()):
        function, file = strings[reader.index(len(strings))], strings[reader.index(len(strings))]
        frames.append(Frame(function, file, reader.signed()))
    nodes: list[tuple[int, ...]] = [()]
    left = MOST_FRAMES
    for index in range(reader.count()):
        caller = index - reader.number()
        if not 0 <= caller < len(nodes) or len(nodes[caller]) >= _DEEPEST:
            raise BadProfile("it is damaged: a call without its caller")
        left = room_after(left, len(nodes[caller]) + 1)
        nodes.append((*nodes[caller], reader.index(len(frames))))
    return reader, tuple(frames), nodes


def _check_source(source: Mapping[int, str], frames: int) -> None:
    if any(not 0 <= index < frames for index in source):
        raise BadProfile("it is damaged: source of a frame that is not there")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def _object(data: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        raise BadProfile("it is damaged: it holds JSON that is none") from None
    if not isinstance(plain, dict):
        raise BadProfile("it is damaged: a window is no object")
    return plain
