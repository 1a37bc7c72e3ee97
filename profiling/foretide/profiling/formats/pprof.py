"""pprof's profile.proto, gzipped, written and read by hand: it has but a few messages.

Field numbers are those of github.com/google/pprof/proto/profile.proto. Each sample has its count,
CPU and wall nanoseconds, and the labels `thread` and `state`.
"""

import gzip
import zlib
from dataclasses import dataclass, field

from ..packing import Reader, Writer, inflate
from ..profile import BadProfile, Merging, Profile, Unit
from ..window import Frame, ThreadState
from .metric import pool_label, usual_metric

_NANO = 1_000_000_000
_TYPES = (("samples", "count"), ("cpu", "nanoseconds"), ("wall", "nanoseconds"))
_SECONDS = {"nanoseconds": 1e-9, "microseconds": 1e-6, "milliseconds": 1e-3, "seconds": 1.0}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST = 20_000


def dump(profile: Profile) -> bytes:
    """A profile as gzipped pprof."""
    out = _Out()
    for kind, unit in _TYPES[:1] if profile.unit is Unit.SAMPLES else _TYPES:
        out.message(1, out.value_type(kind, unit))
    functions: dict[tuple[str, str], int] = {}
    for number, frame in enumerate(profile.frames, 1):
        key = (frame.function, frame.file)
        line = Writer()
        _put(line, 1, functions.setdefault(key, len(functions) + 1))
        _put(line, 2, frame.line)
        location = Writer()
        _put(location, 1, number)
        _put_bytes(location, 4, line.data)
        out.message(4, location)
    for (name, file), number in functions.items():
        function = Writer()
        _put(function, 1, number)
        for tag, text in ((2, name), (3, name), (4, file)):
            _put(function, tag, out.text(text))
        out.message(5, function)
    for entry in profile.entries:
        values = [round(entry.samples)]
        if profile.unit is Unit.SECONDS:
            values += [round(entry.cpu * _NANO), round(entry.wall * _NANO)]
        if not any(values):
            continue
        sample = Writer()
        _put_packed(sample, 1, [index + 1 for index in reversed(profile.stacks[entry.stack])])
        _put_packed(sample, 2, values)
        for key_text, text in (
            ("thread", pool_label(profile.threads[entry.thread])),
            ("state", str(entry.state)),
        ):
            label = Writer()
            _put(label, 1, out.text(key_text))
            _put(label, 2, out.text(text))
            _put_bytes(sample, 3, label.data)
        out.message(2, sample)
    _put(out.head, 9, round(profile.started_at * _NANO))
    _put(out.head, 10, round(profile.seconds * _NANO))
    if profile.rate > 0:
        out.message(11, out.value_type("wall", "nanoseconds"))
        _put(out.head, 12, round(_NANO / profile.rate))
    _put(out.head, 14, out.text(str(usual_metric(profile))))
    # The same profile gives the same bytes: without the time at which it was packed.
    return gzip.compress(out.data(), 6, mtime=0)


def load(data: bytes) -> Profile:
    """The profile that gzipped or plain pprof holds.

    Raises:
        BadProfile: it is something else, damaged, or counts no time and no samples.
    """
    if data[:2] == b"\x1f\x8b":
        data = inflate(data, wbits=zlib.MAX_WBITS | 16)
    tables = _Tables.read(Reader(data))
    return tables.profile()


class _Out:
    """A message that is being written, and its table of strings."""

    def __init__(self) -> None:
        self.head = Writer()
        self._texts = {"": 0}

    def text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def value_type(self, kind: str, unit: str) -> Writer:
        made = Writer()
        _put(made, 1, self.text(kind))
        _put(made, 2, self.text(unit))
        return made

    def message(self, tag: int, inner: Writer) -> None:
        _put_bytes(self.head, tag, inner.data)

    def data(self) -> bytes:
        for text in self._texts:
            _put_bytes(self.head, 6, text.encode("utf-8", "replace"))
        return bytes(self.head.data)


def _put(out: Writer, tag: int, value: int) -> None:
    """A number; 0 is the default, and not written."""
    if value > 0:
        out.number(tag << 3 | _VARINT)
        out.number(value)


def _put_bytes(out: Writer, tag: int, data: bytes | bytearray) -> None:
    out.number(tag << 3 | _BYTES)
    out.block(bytes(data))


def _put_packed(out: Writer, tag: int, values: list[int]) -> None:
    packed = Writer()
    packed.numbers(max(0, value) for value in values)
    _put_bytes(out, tag, packed.data)


@dataclass(slots=True)
class _Tables:
    """What has been read of a pprof, by the numbers of its fields."""

    texts: list[str] = field(default_factory=list)
    types: list[tuple[int, int]] = field(default_factory=list)
    samples: list[tuple[list[int], list[int], list[tuple[int, int]]]] = field(default_factory=list)
    locations: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    functions: dict[int, tuple[int, int]] = field(default_factory=dict)
    time: int = 0
    duration: int = 0
    default: int = 0

    @classmethod
    def read(cls, reader: Reader) -> "_Tables":
        tables = cls()
        for tag, value in _fields(reader):
            if isinstance(value, bytes):
                tables._message(tag, value)
            elif tag == 9:
                tables.time = value
            elif tag == 10:
                tables.duration = value
            elif tag == 14:
                tables.default = value
        if not tables.types or not tables.texts:
            raise BadProfile("it is no pprof: it does not say what its values are")
        return tables

    def _message(self, tag: int, data: bytes) -> None:
        if tag == 6:
            self.texts.append(data.decode("utf-8", "replace"))
            return
        if tag not in (1, 2, 4, 5):
            return
        numbers: dict[int, list[int]] = {}
        inner: dict[int, list[bytes]] = {}
        for inner_tag, value in _fields(Reader(data)):
            if isinstance(value, bytes):
                inner.setdefault(inner_tag, []).append(value)
            else:
                numbers.setdefault(inner_tag, []).append(value)
        if tag == 1:
            self.types.append((_last(numbers, 1), _last(numbers, 2)))
        elif tag == 2:
            labels = [_pair(one, 1, 2) for one in inner.get(3, [])]
            self.samples.append((_list(numbers, inner, 1), _list(numbers, inner, 2), labels))
        elif tag == 4:
            self.locations[_last(numbers, 1)] = [_pair(one, 1, 2) for one in inner.get(4, [])]
        else:
            self.functions[_last(numbers, 1)] = (_last(numbers, 2), _last(numbers, 4))

    def profile(self) -> Profile:
        """The profile of the tables."""
        kinds = [(self.text(kind), self.text(unit)) for kind, unit in self.types]
        wanted = _Wanted.of(kinds, self.text(self.default))
        merging = Merging()
        frames = {number: self._frames(lines) for number, lines in self.locations.items()}
        for locations, values, labels in self.samples:
            deep = sum(len(frames.get(one, ())) for one in locations)
            if max(deep, len(locations)) > _DEEPEST or len(values) < len(kinds):
                raise BadProfile("it is damaged: a sample without its values, or far too deep")
            stack = [frame for one in reversed(locations) for frame in frames.get(one, [])]
            named = {self.text(key): self.text(text) for key, text in labels}
            merging.add(
                merging.stack(stack),
                thread=named.get("thread", ""),
                state=_state(named.get("state", "")),
                cpu=wanted.cpu(values),
                wall=wanted.wall(values),
                samples=wanted.count(values),
            )
        return merging.profile(
            unit=wanted.unit,
            started_at=self.time / _NANO,
            ended_at=(self.time + self.duration) / _NANO,
            seconds=self.duration / _NANO,
        )

    def text(self, index: int) -> str:
        """A string of the table."""
        if not 0 <= index < len(self.texts):
            raise BadProfile("it is damaged: it points to a text that is not there")
        return self.texts[index]

    def _frames(self, lines: list[tuple[int, int]]) -> list[Frame]:
        """A location's frames, root first: several where functions were inlined."""
        found = []
        for function, line in reversed(lines):
            name, file = self.functions.get(function, (0, 0))
            found.append(Frame(self.text(name) or "?", self.text(file), line))
        return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which of a sample's values are which, and in what unit: index and factor to seconds."""

    unit: Unit
    of_cpu: tuple[int, float] | None
    of_wall: tuple[int, float] | None
    of_count: int | None

    @classmethod
    def of(cls, kinds: list[tuple[str, str]], default: str) -> "_Wanted":
        times = {
            kind: (i, _SECONDS[unit]) for i, (kind, unit) in enumerate(kinds) if unit in _SECONDS
        }
        counts = [i for i, (_, unit) in enumerate(kinds) if unit == "count"]
        if not times and not counts:
            raise BadProfile(
                f"it counts {', '.join(unit or 'nothing' for _, unit in kinds)}, and neither time "
                "nor samples"
            )
        cpu, wall = times.get("cpu"), times.get("wall")
        if times and cpu is None and wall is None:
            wall = times.get(default) or next(iter(times.values()))
        unit = Unit.SECONDS if times else Unit.SAMPLES
        return cls(unit, cpu, wall or cpu, counts[0] if counts else None)

    def cpu(self, values: list[int]) -> float:
        return values[self.of_cpu[0]] * self.of_cpu[1] if self.of_cpu else 0.0

    def wall(self, values: list[int]) -> float:
        return values[self.of_wall[0]] * self.of_wall[1] if self.of_wall else self.count(values)

    def count(self, values: list[int]) -> float:
        return float(values[self.of_count]) if self.of_count is not None else 0.0


def _fields(reader: Reader) -> "list[tuple[int, int | bytes]]":
    found: list[tuple[int, int | bytes]] = []
    while not reader.ended:
        key = reader.number()
        tag, kind = key >> 3, key & 7
        if kind == _VARINT:
            # Negative numbers are written as if they were huge: nothing here is negative.
            value = reader.number() & 0xFFFF_FFFF_FFFF_FFFF
            found.append((tag, value if value < 1 << 63 else 0))
        elif kind == _BYTES:
            found.append((tag, reader.block()))
        elif kind in (_FIXED64, _FIXED32):
            reader.fixed(8 if kind == _FIXED64 else 4)
        else:
            raise BadProfile("it is no pprof, or damaged")
    return found


def _list(numbers: dict[int, list[int]], inner: dict[int, list[bytes]], tag: int) -> list[int]:
    """A repeated number, packed or not."""
    found = list(numbers.get(tag, []))
    for packed in inner.get(tag, []):
        reader = Reader(packed)
        while not reader.ended:
            value = reader.number() & 0xFFFF_FFFF_FFFF_FFFF
            found.append(value if value < 1 << 63 else 0)
    return found


def _pair(data: bytes, first: int, second: int) -> tuple[int, int]:
    values = {tag: value for tag, value in _fields(Reader(data)) if isinstance(value, int)}
    return values.get(first, 0), values.get(second, 0)


def _last(numbers: dict[int, list[int]], tag: int) -> int:
    return numbers.get(tag, [0])[-1]


def _state(text: str) -> ThreadState:
    try:
        return ThreadState(text)
    except ValueError:
        return ThreadState.UNKNOWN
