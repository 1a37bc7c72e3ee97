"""Windows as lines of a log: with other output between them, cut off, changed or repeated."""

from dataclasses import replace

import pytest

from foretide.profiling.sampler import read_windows, to_packed_line
from foretide.profiling.window import Peer, Samples, ThreadState

from ..conftest import build_thread, build_window


@pytest.fixture
def window():
    window = build_window(build_thread({"main;work": (12, 11)}, cpu=3.5))
    (thread,) = window.threads
    thread = replace(
        thread, states={ThreadState.GIL: 3}, peers={Peer.CLIENT: 2}, cpu_parts=(1.5, 2.0)
    )
    return replace(
        window,
        threads=(thread,),
        samples=(Samples(0, 0, 7, 6), Samples(0, 0, 5, None, part=1)),
        parts=2,
        source={1: "x = «1»"},
        labels={"pod": "shop-1"},
    )


def test_window_comes_back_as_it_was(window):
    assert list(read_windows([to_packed_line(window)])) == [window]


def test_other_output_around_a_line_does_no_harm(window):
    line = to_packed_line(window)
    assert list(read_windows(["starting", f"2026-01-01T00:00:00Z {line} [info] more"])) == [window]


def test_line_that_comes_twice_is_one_window(window):
    line = to_packed_line(window)
    assert list(read_windows([line, line])) == [window]


@pytest.mark.parametrize("broken", [lambda x: x[:-7], lambda x: x[:60] + "!" + x[61:], str.lower])
def test_broken_line_is_left_out(window, broken):
    later = replace(window, started_at=window.started_at + 10)
    lines = [broken(to_packed_line(window)), to_packed_line(later)]
    assert list(read_windows(lines)) == [later]


HOSTILE = {
    "a stack that is not there": {"samples": (Samples(0, 9, 1, None),)},
    "a thread that is not there": {"samples": (Samples(-1, 0, 1, None),)},
    "more parts than can be counted": {"parts": 10**12},
    "text of a line that is not there": {"source": {99: "x = 1"}},
    "no time at all": {"seconds": 0.0},
    "a time that is no number": {"seconds": float("nan")},
    "a time beyond all sums": {"seconds": 10**400},
    "no list": {"labels": 5},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_window_that_cannot_be_is_left_out(window, what):
    """Whoever may write to that log may write such a line, with a checksum that is right."""
    line = to_packed_line(replace(window, **HOSTILE[what]))
    assert list(read_windows([line, to_packed_line(window)])) == [window]


def test_fields_of_later_versions_are_passed_over(window):
    from foretide.profiling.sampler.wire import from_json, to_json

    assert from_json({**to_json(window), "later": 1}) == window
