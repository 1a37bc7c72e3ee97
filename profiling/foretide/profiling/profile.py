"""A profile: what windows of a workload say together, or what another tool has recorded.

Stacks are merged by thread pool and by what their threads did there. From windows it has seconds,
scaled to the CPU time that was measured; from a file of another tool, what that file counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .attribution import Costs, Summing
from .states import waits
from .weights import Weight, native_cpu_seconds, pool_of, weigh
from .window import Frame, ThreadState, Window

# More than this a file does not hold; and of so many, chance would take nothing away.
_MOST_SAMPLES = 1_000_000


class Unit(StrEnum):
    """What a profile's times are: seconds, or counts of samples at an unknown rate."""

    SECONDS = "seconds"
    SAMPLES = "samples"


# Frames of all stacks together: a file of some KB can tell of stacks that no memory holds.
MOST_FRAMES = 100_000_000
# The most at one stack: pprof holds 64 bits of nanoseconds, and our own files millionths of counts.
_LARGEST = {Unit.SECONDS: 9.2e9, Unit.SAMPLES: 1e16}


class BadProfile(Exception):
    """What was given is no profile that can be read; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What threads of one pool spent at one stack in one state.

    `thread` and `stack` are indices into the profile's `threads` and `stacks`. `cpu` and `wall` are
    in the profile's unit; `wall` includes `cpu`, and under RUNNING the wait for a core, too.
    `samples` is a share of a count where a stack was seen in several states.
    """

    thread: int
    stack: int
    state: ThreadState
    cpu: float
    wall: float
    samples: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Merged stacks, of `windows` windows and `seconds` of profile (of all processes together).

    `started_at` and `ended_at` in Unix seconds, 0 where unknown. `labels` are those that all
    windows share; `pods` all pods. `source` is the text of lines by the index of their frame.
    """

    entries: tuple[Entry, ...]
    frames: tuple[Frame, ...]
    stacks: tuple[tuple[int, ...], ...]
    threads: tuple[str, ...]
    unit: Unit = Unit.SECONDS
    started_at: float = 0.0
    ended_at: float = 0.0
    seconds: float = 0.0
    windows: int = 0
    rate: float = 0.0
    native_cpu_seconds: float = 0.0
    command: str = ""
    python_version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    pods: tuple[str, ...] = ()
    source: Mapping[int, str] = field(default_factory=dict)

    @property
    def cpu(self) -> float:
        """CPU time of all entries."""
        return sum(entry.cpu for entry in self.entries)

    @property
    def wall(self) -> float:
        """Time of all entries, each thread's by itself."""
        return sum(entry.wall for entry in self.entries)

    @property
    def only_cpu(self) -> bool:
        """Does it hold CPU time and no other, as some tools' files do? `wall` is the same then."""
        return self.cpu > 0 and all(entry.wall == entry.cpu for entry in self.entries)

    @property
    def counts_something_else(self) -> bool:
        """Are the counts of a file, taken for samples, too many for that? Microseconds are."""
        return self.unit is Unit.SAMPLES and self.samples > _MOST_SAMPLES

    @property
    def samples(self) -> float:
        """How many samples it comes from."""
        return sum(entry.samples for entry in self.entries)


def room_after(left: int, frames: int) -> int:
    """For how many more frames there is room, once a stack has taken its own.

    Raises:
        BadProfile: there is none for these.
    """
    if frames > left:
        raise BadProfile("its stacks have more frames than memory should hold")
    return left - frames


class Merging:
    """Puts stacks together into a profile: frames, stacks and pools are kept once."""

    def __init__(self) -> None:
        self._frames: dict[Frame, int] = {}
        self._stacks: dict[tuple[int, ...], int] = {}
        self._left = MOST_FRAMES
        self._threads: dict[str, int] = {}
        self._sums: dict[tuple[int, int, ThreadState], list[float]] = {}
        self._source: dict[int, str] = {}

    def stack(self, frames: Sequence[Frame]) -> int:
        """The index of a stack, root first.

        Raises:
            BadProfile: they have more frames than there is room for.
        """
        indices = tuple(self._frames.setdefault(one, len(self._frames)) for one in frames)
        found = self._stacks.get(indices)
        if found is None:
            self._left = room_after(self._left, len(indices))
            found = self._stacks[indices] = len(self._stacks)
        return found

    def tables(
        self, frames: Sequence[Frame], stacks: Sequence[Sequence[int]], source: Mapping[int, str]
    ) -> list[int]:
        """The indices of all stacks of a window or profile, given its tables."""
        here = [self._frames.setdefault(one, len(self._frames)) for one in frames]
        for index, text in source.items():
            self._source.setdefault(here[index], text)
        return [
            self._stacks.setdefault(tuple([here[one] for one in stack]), len(self._stacks))
            for stack in stacks
        ]

    def add(
        self,
        stack: int,
        *,
        thread: str = "",
        state: ThreadState = ThreadState.UNKNOWN,
        cpu: float = 0.0,
        wall: float = 0.0,
        samples: float = 0.0,
    ) -> None:
        """Add to what threads of a pool spent at a stack in a state."""
        index = self._threads.setdefault(thread, len(self._threads))
        sums = self._sums.setdefault((index, stack, state), [0.0, 0.0, 0.0])
        sums[0] += cpu
        sums[1] += wall
        sums[2] += samples

    def profile(
        self,
        *,
        unit: Unit = Unit.SECONDS,
        started_at: float = 0.0,
        ended_at: float = 0.0,
        seconds: float = 0.0,
        windows: int = 0,
        rate: float = 0.0,
        native_cpu_seconds: float = 0.0,
        command: str = "",
        python_version: str = "",
        labels: Mapping[str, str] | None = None,
        pods: Iterable[str] = (),
    ) -> Profile:
        """What has been put together.

        Raises:
            BadProfile: it is more than any format holds.
        """
        largest = max((max(sums) for sums in self._sums.values()), default=0.0)
        if largest > _LARGEST[unit]:
            raise BadProfile(f"it has {largest:.1e} {unit} at one stack, which cannot be")
        return Profile(
            entries=tuple(Entry(*key, *sums) for key, sums in self._sums.items()),
            frames=tuple(self._frames),
            stacks=tuple(self._stacks),
            threads=tuple(self._threads),
            unit=unit,
            started_at=started_at,
            ended_at=ended_at,
            seconds=seconds,
            windows=windows,
            rate=rate,
            native_cpu_seconds=native_cpu_seconds,
            command=command,
            python_version=python_version,
            labels=labels or {},
            pods=tuple(pods),
            source=self._source,
        )


def merge(windows: Sequence[Window], weights: Sequence[Sequence[Weight]] | None = None) -> Profile:
    """One profile of windows of one workload, whatever their processes and pods.

    `weights`: what `weigh(windows)` says, where it is known already.

    Raises:
        BadProfile: there is no window.
    """
    if not windows:
        raise BadProfile("there is no window to make a profile of")
    merging = Merging()
    for window, of_samples in zip(windows, weights or weigh(windows), strict=True):
        stacks = merging.tables(window.frames, window.stacks, window.source)
        pools = [pool_of(thread.name) for thread in window.threads]
        off = waits(window, of_samples)
        for one, weight, waited in zip(window.samples, of_samples, off, strict=True):
            per_second = one.count / weight.wall if weight.wall > 0 else 0.0
            running = weight.cpu + weight.runqueue
            seconds = {ThreadState.RUNNING: running, **waited} if running > 0 else waited
            for state, spent in seconds.items():
                merging.add(
                    stacks[one.stack],
                    thread=pools[one.thread],
                    state=state,
                    cpu=weight.cpu if state is ThreadState.RUNNING else 0.0,
                    wall=spent,
                    samples=spent * per_second,
                )
    seconds_in_all = sum(window.seconds for window in windows)
    return merging.profile(
        started_at=min(window.started_at for window in windows),
        ended_at=max(window.started_at + window.seconds for window in windows),
        seconds=seconds_in_all,
        windows=len(windows),
        rate=sum(window.sample_count for window in windows) / max(seconds_in_all, 1e-9),
        native_cpu_seconds=sum(native_cpu_seconds(window) for window in windows),
        command=_shared([window.command for window in windows]),
        python_version=_shared([window.python_version for window in windows]),
        labels=shared_labels([window.labels for window in windows]),
        pods=sorted({window.labels["pod"] for window in windows if window.labels.get("pod")}),
    )


def combine(profiles: Sequence[Profile]) -> Profile:
    """One profile of several: of an hour from its minutes, say.

    Raises:
        BadProfile: there is none, or seconds and samples would be added up.
    """
    if not profiles:
        raise BadProfile("there is no profile to combine")
    if len({profile.unit for profile in profiles}) > 1:
        raise BadProfile(
            "profiles in seconds and profiles in samples of an unknown rate cannot be added up"
        )
    merging = Merging()
    for profile in profiles:
        stacks = merging.tables(profile.frames, profile.stacks, profile.source)
        for entry in profile.entries:
            merging.add(
                stacks[entry.stack],
                thread=profile.threads[entry.thread],
                state=entry.state,
                cpu=entry.cpu,
                wall=entry.wall,
                samples=entry.samples,
            )
    seconds = sum(profile.seconds for profile in profiles)
    return merging.profile(
        unit=profiles[0].unit,
        started_at=min(profile.started_at for profile in profiles),
        ended_at=max(profile.ended_at for profile in profiles),
        seconds=seconds,
        windows=sum(profile.windows for profile in profiles),
        rate=sum(one.rate * one.seconds for one in profiles) / seconds if seconds else 0.0,
        native_cpu_seconds=sum(profile.native_cpu_seconds for profile in profiles),
        command=_shared([profile.command for profile in profiles]),
        python_version=_shared([profile.python_version for profile in profiles]),
        labels=shared_labels([profile.labels for profile in profiles]),
        pods=sorted({pod for profile in profiles for pod in profile.pods}),
    )


def costs_of(profile: Profile) -> Costs:
    """The costs of a profile's functions and lines, in its unit."""
    summing = Summing()
    frames = [[profile.frames[index] for index in stack] for stack in profile.stacks]
    for entry in profile.entries:
        summing.add(frames[entry.stack], entry.cpu, entry.wall, entry.samples)
    return summing.costs(profile.seconds, profile.native_cpu_seconds)


def shared_labels(several: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The labels that all have with the same value."""
    first = dict(several[0])
    return {
        key: value for key, value in first.items() if all(one.get(key) == value for one in several)
    }


def _shared(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else ""
