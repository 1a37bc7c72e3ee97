"""Profiles go to other tools and come back; what is no profile is refused with the reason."""

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foretide.profiling import files
from foretide.profiling import profile as profile_module
from foretide.profiling.files import (
    Format,
    format_of,
    read_data,
    read_file,
    read_profile,
    read_windows,
    write_profile,
)
from foretide.profiling.formats import chrome, collapsed, parsing, pprof, speedscope
from foretide.profiling.formats.metric import Metric
from foretide.profiling.profile import BadProfile, Merging, Unit, costs_of, merge
from foretide.profiling.window import Frame, ThreadState

FEW = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
# Names as hostile as can be, but for what a format cannot carry.
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=8)
FRAMES = st.builds(Frame, NAMES, NAMES, st.integers(0, 10**6))


@st.composite
def profiles(draw, frames=FRAMES, threads=NAMES):
    merging = Merging()
    for _ in range(draw(st.integers(1, 8))):
        cpu = draw(st.integers(0, 10**6)) / 1e6
        merging.add(
            merging.stack(draw(st.lists(frames, min_size=1, max_size=6))),
            thread=draw(threads),
            state=draw(st.sampled_from(ThreadState)),
            cpu=cpu,
            wall=cpu + draw(st.integers(1, 10**6)) / 1e6,
            samples=draw(st.integers(1, 500)),
        )
    return merging.profile(seconds=10.0, started_at=1.7e9, ended_at=1.7e9 + 10, rate=20.0)


def by_stack(profile, value):
    sums = {}
    for entry in profile.entries:
        stack = tuple(profile.frames[index] for index in profile.stacks[entry.stack])
        key = (profile.threads[entry.thread], stack)
        sums[key] = sums.get(key, 0.0) + value(entry)
    return {key: pytest.approx(spent, abs=1e-5, rel=1e-6) for key, spent in sums.items()}


@pytest.mark.slow
@FEW
@given(profile=profiles())
def test_pprof_brings_back_times_states_and_samples(profile):
    back = pprof.load(pprof.dump(profile))
    for value in (lambda e: e.cpu, lambda e: e.wall, lambda e: e.samples):
        assert by_stack(back, value) == by_stack(profile, value)
    assert {e.state for e in back.entries} == {e.state for e in profile.entries}
    assert (back.started_at, back.seconds) == (profile.started_at, profile.seconds)


@pytest.mark.slow
@FEW
@given(profile=profiles())
def test_speedscope_brings_back_the_wall_clock(profile):
    back = speedscope.load(speedscope.dump(profile, Metric.WALL))
    assert by_stack(back, lambda e: e.wall) == by_stack(profile, lambda e: e.wall)


@pytest.mark.slow
@FEW
@given(profile=profiles())
def test_chromes_trace_brings_back_the_wall_clock(profile):
    """Times are written to a thousandth of a microsecond; a call of no length is lost."""
    back = chrome.load(chrome.dump(profile, Metric.WALL))
    assert back.wall == pytest.approx(profile.wall, rel=1e-4)
    mine, theirs = costs_of(profile), costs_of(back)
    for function, cost in mine.functions.items():
        assert theirs.functions[function].self_wall == pytest.approx(cost.self_wall, abs=1e-4)
        assert theirs.functions[function].total_wall == pytest.approx(cost.total_wall, abs=1e-4)


@pytest.mark.slow
@FEW
@given(profile=profiles())
def test_collapsed_stacks_bring_back_microseconds(profile):
    """Names lose what would end a label; the sum is the profile's."""
    back = collapsed.load(collapsed.dump(profile, Metric.WALL))
    assert back.unit is Unit.SAMPLES
    assert back.wall == pytest.approx(profile.wall * 1e6, abs=len(profile.entries))


ONE_NUMBER = {"speedscope": speedscope, "chrome": chrome}


@pytest.mark.parametrize("kind", ONE_NUMBER)
def test_what_a_file_counts_is_known_when_it_is_read_again(window, thread, kind):
    seen = {"main:1;work:2": (150, 120), "main:1;wait:5": (50, 0)}
    profile = merge([window(thread(seen, cpu=5.0))])
    form = ONE_NUMBER[kind]

    cpu = form.load(form.dump(profile))
    assert (cpu.unit, cpu.command) == (Unit.SECONDS, profile.command)
    assert cpu.only_cpu
    assert cpu.cpu == pytest.approx(profile.cpu)
    assert cpu.seconds == 0  # for how long it was recorded is not known

    wall = form.load(form.dump(profile, Metric.WALL))
    assert (wall.unit, wall.cpu) == (Unit.SECONDS, 0)
    assert wall.wall == pytest.approx(profile.wall)

    samples = form.load(form.dump(profile, Metric.SAMPLES))
    assert samples.unit is Unit.SAMPLES
    assert samples.samples == pytest.approx(200)
    assert samples.cpu == 0


def test_one_stack_of_ours_is_not_taken_for_one_look(window, thread):
    profile = merge([window(thread({"main:1;work:2": (200, 200)}, cpu=5.0))])
    assert speedscope.load(speedscope.dump(profile)).samples == 0


@pytest.mark.parametrize("kind", [kind for kind in Format if kind is not Format.FORETIDE])
def test_counts_go_on_to_every_format_as_they_are(kind):
    back = read_data(write_profile(collapsed.load(b"main;work 5000000\nmain 3\n"), kind))
    assert back.unit is Unit.SAMPLES
    assert back.samples == pytest.approx(5_000_003)
    assert back.counts_something_else


@pytest.mark.parametrize("form", [speedscope, chrome, collapsed])
def test_a_number_that_a_profile_does_not_have_is_not_written(form):
    only_wall, only_counts = Merging(), Merging()
    only_wall.add(only_wall.stack([Frame("main", "a.py", 1)]), wall=2.0)
    only_counts.add(only_counts.stack([Frame("main", "a.py", 1)]), wall=9.0, samples=9.0)
    with pytest.raises(BadProfile, match="CPU time is not in it, time on the clock is"):
        form.dump(only_wall.profile(), Metric.CPU)
    with pytest.raises(BadProfile, match="time on the clock is not in it, a number of samples is"):
        form.dump(only_counts.profile(unit=Unit.SAMPLES), Metric.WALL)


def test_counts_of_speedscopes_own_files_are_samples():
    plain = {
        "exporter": "speedscope@1.20",
        "name": "a folded file (cpu)",
        "shared": {"frames": [{"name": "main"}, {"name": "work"}]},
        "profiles": [
            {"type": "sampled", "unit": "none", "samples": [[0], [0, 1]], "weights": [30, 90]}
        ],
    }
    profile = speedscope.read(plain)
    assert (profile.unit, profile.samples, profile.cpu) == (Unit.SAMPLES, 120, 0)


def test_collapsed_stacks_are_what_flamegraph_pl_reads(window, thread):
    seen = {"main:1;work:2": (200, 200)}
    text = collapsed.dump(merge([window(thread(seen, cpu=10.0))])).decode()
    assert text == "thread (MainThread);main (/app/shop.py:1);work (/app/shop.py:2) 10000000\n"


def test_py_spys_own_files_are_read():
    raw = b'process 7:"python a.py";thread (0x7F00): pool_1;<module> (/a.py:3);work (/a.py:9) 12\n'
    profile = collapsed.load(raw)
    assert profile.threads == ("pool_1",)
    assert profile.frames[1] == Frame("work", "/a.py", 9)
    assert profile.samples == 12
    trace = [
        {"args": {"filename": "a.py", "line": 1}, "cat": "py-spy", "name": "main", "ph": "B",
         "pid": 1, "tid": 1, "ts": 0},
        {"args": {"filename": "a.py", "line": 5}, "cat": "py-spy", "name": "work", "ph": "B",
         "pid": 1, "tid": 1, "ts": 1000},
        {"name": "work", "ph": "E", "pid": 1, "tid": 1, "ts": 4000},
        {"name": "main", "ph": "E", "pid": 1, "tid": 1, "ts": 5000},
    ]  # fmt: skip
    costs = costs_of(chrome.load(json.dumps(trace).encode()))
    named = {function.name: cost for function, cost in costs.functions.items()}
    assert named["work"].self_wall == pytest.approx(0.003)
    assert named["main"].self_wall == pytest.approx(0.002)
    assert named["main"].total_wall == pytest.approx(0.005)


def test_evented_speedscope_is_read():
    events = [("O", 0, 0), ("O", 1, 2), ("C", 1, 6), ("C", 0, 7)]
    plain = {
        "shared": {"frames": [{"name": "main"}, {"name": "work"}]},
        "profiles": [
            {"type": "evented", "name": "t", "unit": "milliseconds",
             "events": [{"type": kind, "frame": frame, "at": at} for kind, frame, at in events]}
        ],
    }  # fmt: skip
    costs = costs_of(speedscope.read(plain))
    named = {function.name: cost for function, cost in costs.functions.items()}
    assert named["work"].self_wall == pytest.approx(0.004)
    assert named["main"].total_wall == pytest.approx(0.007)


@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not there")
@pytest.mark.slow
def test_gos_own_pprof_reads_ours(window, thread, tmp_path):
    seen = {"main:1;work:2": (150, 150), "main:1;walk:5;walk:5": (50, 50)}
    path = tmp_path / "profile.pb.gz"
    path.write_bytes(pprof.dump(merge([window(thread(seen, cpu=8.0))])))
    told = subprocess.run(
        ["go", "tool", "pprof", "-top", "-sample_index=cpu", str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "GOFLAGS": "-mod=mod"},
    )
    assert told.returncode == 0, told.stderr
    rows = {line.split()[-1]: line.split() for line in told.stdout.splitlines() if "%" in line}
    assert rows["work"][0] == "6s"
    assert rows["walk"][3] == "2s"
    assert rows["main"][3] == "8s"


@pytest.mark.parametrize("kind", Format)
def test_files_are_told_by_what_they_hold(window, thread, kind, tmp_path):
    windows = [window(thread({"main:1;work:2": (200, 200)}, cpu=5.0))]
    path = tmp_path / "whatever"
    path.write_bytes(write_profile(windows, kind, Metric.WALL))
    profile = read_profile(path)
    assert Frame("work", "/app/shop.py", 2) in profile.frames
    path.write_bytes(gzip.compress(path.read_bytes()))
    if kind is not Format.FORETIDE:
        assert read_profile(path).frames == profile.frames


def test_windows_are_kept_by_our_own_format_and_missed_in_others(window, thread, tmp_path):
    windows = (window(thread({"main:1;work:2": (200, 200)}, cpu=5.0)),)
    path = tmp_path / "a.ftp"
    path.write_bytes(write_profile(windows, Format.FORETIDE))
    assert read_windows(path) == windows
    path.write_bytes(write_profile(windows, Format.PPROF))
    with pytest.raises(BadProfile, match="foretide profile record"):
        read_windows(path)


def test_a_name_tells_the_format_to_write(tmp_path):
    names = {
        "a.speedscope.json": Format.SPEEDSCOPE,
        "a.pb.gz": Format.PPROF,
        "a.ftp": Format.FORETIDE,
    }
    assert {name: format_of(tmp_path / name) for name in names} == names
    assert format_of(tmp_path / "a.png") is None


BAD = {
    "empty": (b"  \n", "empty"),
    "text": (b"hello world\nthis is no profile\n", "line 1 is no collapsed stack"),
    "html": (b"<html><body>404</body></html>", "no collapsed stack"),
    "json of something": (b'{"kind": "Pod", "spec": {}}', 'neither speedscope.* "kind", "spec"'),
    "deep json": (b"[" * 100_000, "too deep"),
    "broken json": (b'{"shared": ', "no JSON"),
    "a frame that is not there": (
        b'{"shared":{"frames":[]},"profiles":[{"type":"sampled","samples":[[3]],"weights":[1]}]}',
        "points to what is not there",
    ),
    "weights missing": (
        b'{"shared":{"frames":[]},"profiles":[{"type":"sampled","samples":[[]],"weights":[]}]}',
        "1 samples and 0 weights",
    ),
    "a time that is none": (b'[{"ph":"X","ts":"soon","dur":1}]', "ts.* is no number"),
    "an infinite weight": (
        b'{"shared":{"frames":[]},"profiles":[{"samples":[[]],"weights":[1e999]}]}',
        "no number",
    ),
    "a weight of 400 digits": (
        b'{"shared":{"frames":[]},"profiles":[{"samples":[[]],"weights":[%d]}]}' % 10**400,
        "too large",
    ),
    "a time of 400 digits": (b'[{"ph":"X","ts":%d,"dur":1}]' % 10**400, "ts.* is too large"),
    "a count that no file holds": (b"a;b 999999999999999999\n", "cannot be"),
    "random bytes": (bytes(range(256)) * 4, "damaged|pprof|cut off"),
    "cut off gzip": (gzip.compress(b"a;b 1\n" * 100)[:-20], "cut off"),
    "a heap profile": (
        b"\x0a\x04\x08\x01\x10\x02\x32\x00\x32\x05inuse\x32\x05bytes",
        "counts bytes",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_profile_is_refused_with_the_reason(what):
    data, reason = BAD[what]
    with pytest.raises(BadProfile, match=reason):
        read_data(data)


def test_a_line_that_cannot_be_is_none():
    """Ours and pprof's numbers would have no room for it, and not be read again."""
    line = 10**300
    sampled = {"type": "sampled", "samples": [[0]], "weights": [1]}
    scope = {"shared": {"frames": [{"name": "a", "line": line}]}, "profiles": [sampled]}
    event = {"ph": "X", "ts": 0, "dur": 1, "name": "a", "args": {"line": line}}
    for plain in (scope, [event]):
        assert [frame.line for frame in read_data(json.dumps(plain).encode()).frames] == [0]


def test_stacks_that_no_memory_holds_are_refused(monkeypatch):
    """Begins without ends, each deeper by one than the last: a line of text for a whole stack."""
    frames = [{"name": f"f{number}"} for number in range(100)]
    events = [{"type": "O", "frame": number, "at": number} for number in range(100)]
    evented = {"type": "evented", "unit": "seconds", "events": events}
    nested = [{"ph": "B", "name": f"f{number}", "ts": number} for number in range(100)]
    nested += [{"ph": "E", "ts": 100}]
    lines = [";".join(f"f{number}" for number in range(depth)) + " 1\n" for depth in range(1, 100)]
    bombs = [json.dumps({"shared": {"frames": frames}, "profiles": [evented]}), json.dumps(nested)]
    for bomb in (*bombs, "".join(lines)):
        assert len(read_data(bomb.encode()).stacks) >= 99
        with monkeypatch.context() as patched:
            patched.setattr(profile_module, "MOST_FRAMES", 4_000)
            with pytest.raises(BadProfile, match="more frames than memory"):
                read_data(bomb.encode())


def test_a_place_of_a_pprof_that_stands_for_too_many_frames_is_refused():
    merging = Merging()
    merging.add(merging.stack([Frame("a", "a.py", 1)] * 200), wall=1.0)
    many = pprof.dump(merging.profile())
    assert len(pprof.load(many).stacks[0]) == 200
    line = b"\x22\x02\x08\x01"  # of function 1
    location = b"\x08\x01" + 200 * line
    raw = gzip.decompress(many) + b"\x22" + bytes([len(location) & 0x7F | 0x80, len(location) >> 7])
    with pytest.raises(BadProfile, match="far too deep"):
        pprof.load(raw + location)  # 200 times 200 frames: the later location of a number counts


def test_lists_that_no_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr(parsing, "_MOST_VALUES", 1_000)
    with pytest.raises(BadProfile, match="more than 1,000 lists and objects"):
        read_data(gzip.compress(b"[" + 2_000 * b"[]," + b"[]]"))


def test_a_device_without_an_end_is_refused(monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 1 << 20)
    with pytest.raises(BadProfile, match="more than 1 MB"):
        read_file(Path("/dev/zero"))


@FEW
@given(data=st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data):
    for start in (b"", b"\x0a\x04\x08\x01\x10\x02", b"a;b ", b"[{"):
        try:
            read_data(start + data)
        except BadProfile:
            continue


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BadProfile, match="No such file"):
        read_file(tmp_path / "none")
    with pytest.raises(BadProfile, match="directory"):
        read_file(tmp_path)
