"""What is packed comes back as it was, small, and what is damaged is refused."""

import contextlib
import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foretide.profiling import codec
from foretide.profiling.codec import (
    WINDOWS_MAGIC,
    pack_profile,
    pack_windows,
    unpack_profile,
    unpack_windows,
)
from foretide.profiling.packing import inflate
from foretide.profiling.profile import BadProfile, combine, costs_of, merge
from foretide.profiling.window import Frame, Peer, Samples, Thread, ThreadState

# A busy machine is slow, and that is no failure.
FEW = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.text(max_size=12)
FRAMES = st.builds(Frame, TEXTS, TEXTS, st.integers(0, 100_000))
SECONDS = st.integers(0, 10**8).map(lambda micro: micro / 1e6)
THREADS = st.builds(
    Thread,
    tid=st.integers(1, 1 << 22),
    name=TEXTS,
    cpu_seconds=SECONDS,
    runqueue_seconds=SECONDS,
    user_seconds=SECONDS,
    system_seconds=SECONDS,
    voluntary_switches=st.integers(0, 10**6),
    involuntary_switches=st.integers(0, 10**6),
    states=st.dictionaries(st.sampled_from(ThreadState), st.integers(0, 500)),
    calls=st.dictionaries(TEXTS, st.integers(0, 500)),
    peers=st.dictionaries(st.sampled_from(Peer), st.integers(0, 500)),
    cpu_parts=st.lists(SECONDS, max_size=3).map(tuple),
)


@st.composite
def windows(draw, window, thread):
    frames = tuple(draw(st.lists(FRAMES, unique=True, max_size=6)))
    index = st.integers(0, len(frames) - 1) if frames else st.nothing()
    deep = st.lists(index, max_size=5 if frames else 0).map(tuple)
    stacks = tuple(draw(st.lists(deep, unique=True, max_size=6)))
    threads = tuple(draw(st.lists(THREADS, min_size=1, max_size=3)))
    samples = ()
    if stacks:
        row = st.builds(
            Samples,
            st.integers(0, len(threads) - 1),
            st.integers(0, len(stacks) - 1),
            st.integers(0, 500),
            st.none() | st.integers(0, 500),
            st.integers(0, 9),
        )
        samples = tuple(draw(st.lists(row, max_size=8)))
    source = draw(st.dictionaries(index, TEXTS)) if frames else {}
    return replace(
        window(thread({})),
        frames=frames,
        stacks=stacks,
        threads=threads,
        samples=samples,
        source=source,
        labels=draw(st.dictionaries(TEXTS, TEXTS, max_size=3)),
        command=draw(TEXTS),
    )


@pytest.mark.slow
@FEW
@given(data=st.data())
def test_windows_come_back_as_they_were(window, thread, data):
    several = data.draw(st.lists(windows(window, thread), max_size=3))
    assert unpack_windows(pack_windows(several)) == tuple(several)


@pytest.mark.slow
@FEW
@given(data=st.data())
def test_a_profile_comes_back_but_for_a_microsecond(window, thread, data):
    profile = merge(data.draw(st.lists(windows(window, thread), min_size=1, max_size=3)))
    back = unpack_profile(pack_profile(profile))
    assert (back.frames, back.stacks, back.threads) == (
        profile.frames,
        profile.stacks,
        profile.threads,
    )
    assert [(e.thread, e.stack, e.state) for e in back.entries] == [
        (e.thread, e.stack, e.state) for e in profile.entries
    ]
    for mine, theirs in zip(back.entries, profile.entries, strict=True):
        assert mine.cpu == pytest.approx(theirs.cpu, abs=1e-6)
        assert mine.wall == pytest.approx(theirs.wall, abs=1e-6)
    assert back.source == profile.source
    assert back.labels == profile.labels


@pytest.mark.slow
@FEW
@given(data=st.data())
def test_damage_is_told_and_never_crashes(window, thread, data):
    packed = pack_windows([data.draw(windows(window, thread))])
    raw = bytearray(zlib.decompress(packed[len(WINDOWS_MAGIC) :]))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadProfile):
        unpack_windows(WINDOWS_MAGIC + zlib.compress(bytes(raw)))


def test_what_is_cut_off_is_refused(window, thread):
    packed = pack_windows([window(thread({"main;work": (200, 100)}, cpu=1.0))])
    for size in range(len(packed) - 1):
        with pytest.raises(BadProfile):
            unpack_windows(packed[:size])


def test_a_bomb_is_refused_before_it_has_grown():
    with pytest.raises(BadProfile, match="more than 1 MB"):
        inflate(zlib.compress(bytes(50 << 20)), most=1 << 20)


def test_stacks_that_no_memory_holds_are_refused(window, thread, monkeypatch):
    """A chain of calls is two bytes for each of them, and all its stacks together their square."""
    deep = [f"f{number}:1" for number in range(100)]
    chain = {";".join(deep[: number + 1]): (1, 1) for number in range(100)}
    packed = pack_windows([window(thread(chain, cpu=1.0))])
    assert len(unpack_windows(packed)) == 1
    for limit in ("MOST_FRAMES", "_MOST_FRAMES"):  # of the tree of calls, of the windows' stacks
        with monkeypatch.context() as patched:
            patched.setattr(codec, limit, 5_000)
            with pytest.raises(BadProfile, match="more frames than memory"):
                unpack_windows(packed)


def busy_windows(window, thread, number):
    """Windows of a pod with eight busy threads, whose 400 stacks form a tree of calls."""
    chance = random.Random(1)
    stacks = ["main:1"]
    while len(stacks) < 400:
        caller = stacks[min(len(stacks) - 1, int(chance.expovariate(0.01)))]
        stacks.append(f"{caller};/app/{chance.randrange(40)}.py:f{chance.randrange(99)}:7")
    weights = [1 / (rank + 1) for rank in range(len(stacks))]
    for index in range(number):
        threads = []
        for tid in range(8):
            seen = {}
            for stack in chance.choices(stacks, weights, k=200):
                count, active = seen.get(stack, (0, 0))
                seen[stack] = (count + 1, active + (chance.random() < 0.7))
            threads.append(
                thread(
                    seen,
                    cpu=chance.random(),
                    tid=tid,
                    name=f"worker_{tid}",
                    states={"running": 120, "gil": 80},
                    switches=chance.randrange(4000),
                )
            )
        yield window(*threads, started_at=1.7e9 + 10 * index)


@pytest.mark.slow
def test_an_hour_of_a_pod_takes_less_than_a_megabyte(window, thread):
    """Reckoned from twelve windows; what is kept once for all of them counts once."""
    several = list(busy_windows(window, thread, 12))
    six, twelve = (len(pack_windows(several[:count])) for count in (6, 12))
    assert six + (360 - 6) * (twelve - six) / 6 < 1 << 20


def test_profiles_of_minutes_combine_to_the_profile_of_their_windows(window, thread):
    several = [
        window(thread({"main;work:1": (100, 90), "main;wait:2": (100, 3)}, cpu=cpu), labels=labels)
        for cpu, labels in ((5.0, {"pod": "a", "image": "x"}), (4.0, {"pod": "b", "image": "x"}))
    ]
    together = combine([merge([one]) for one in several])
    costs = costs_of(together)
    assert costs.cpu_seconds == pytest.approx(9.0)
    assert costs.seconds == 20
    assert together.pods == ("a", "b")
    assert together.labels == {"image": "x"}
    assert together.windows == 2
