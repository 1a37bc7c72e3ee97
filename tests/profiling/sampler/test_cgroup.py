"""Control groups of both versions: files as the kernel writes them, and what is missing."""

from dataclasses import replace
from pathlib import Path

import pytest

from foretide.profiling.bound import Kind, bound
from foretide.profiling.sampler import cgroup, read_windows
from foretide.profiling.window import Container, Pressure

RECORDED = Path(__file__).parents[1] / "fixtures" / "cgroup2"

V2 = {
    "cpu.stat": "usage_usec 5000000\nnr_periods 100\nnr_throttled 40\nthrottled_usec 2500000\n",
    "cpu.max": "50000 100000\n",
    "memory.current": "104857600\n",
    "memory.max": "209715200\n",
    "memory.stat": "inactive_file 4857600\npgmajfault 7\nworkingset_refault_file 3\n"
    "workingset_refault_anon 2\npgsteal 11\n",
    "memory.events": "low 0\nhigh 0\nmax 9\noom 0\noom_kill 1\n",
    "cpu.pressure": "some avg10=1.00 avg60=0.50 avg300=0.10 total=1500000\n",
    "memory.pressure": "some avg10=0.00 total=200000\nfull avg10=0.00 total=100000\n",
}
V1_CPU = {
    "cpu.stat": "nr_periods 100\nnr_throttled 40\nthrottled_time 2500000000\n",
    "cpu.cfs_quota_us": "25000\n",
    "cpu.cfs_period_us": "100000\n",
    "cpuacct.usage": "5000000000\n",
}
V1_MEMORY = {
    "memory.usage_in_bytes": "104857600\n",
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.failcnt": "12\n",
    "memory.stat": "total_inactive_file 4857600\ntotal_pgmajfault 7\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
}


def write(folder, files):
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return str(folder)


def test_version_2(tmp_path):
    folder = write(tmp_path / "unified", V2)
    seen = cgroup.read(cgroup.Places(2, folder, folder, folder))
    assert (seen.version, seen.cpu_limit, seen.cpu_seconds) == (2, 0.5, 5.0)
    assert (seen.periods, seen.throttled_periods, seen.throttled_seconds) == (100, 40, 2.5)
    assert (seen.memory_limit, seen.memory_working) == (200 << 20, 100_000_000)
    assert (seen.memory_events, seen.oom_kills, seen.major_faults) == (9, 1, 7)
    assert (seen.refaults, seen.reclaimed_pages) == (5, 11)
    assert (seen.pressure.cpu_some, seen.pressure.memory_full) == (1.5, 0.1)
    assert seen.pressure.io_some is None


def test_version_1(tmp_path):
    cpu, memory = write(tmp_path / "cpu", V1_CPU), write(tmp_path / "memory", V1_MEMORY)
    seen = cgroup.read(cgroup.Places(1, cpu, memory))
    assert (seen.version, seen.cpu_limit, seen.cpu_seconds) == (1, 0.25, pytest.approx(5.0))
    assert (seen.throttled_periods, seen.throttled_seconds) == (40, pytest.approx(2.5))
    assert (seen.memory_limit, seen.memory_working) == (None, 100_000_000)
    assert (seen.memory_events, seen.oom_kills, seen.major_faults) == (12, 1, 7)
    assert seen.pressure.cpu_some is None


def test_without_limits(tmp_path):
    folder = write(tmp_path / "unified", {"cpu.max": "max 100000\n", "memory.max": "max\n"})
    seen = cgroup.read(cgroup.Places(2, folder, folder, folder))
    assert (seen.cpu_limit, seen.memory_limit, seen.periods) == (None, None, None)


def test_nothing_to_be_read_is_none():
    assert cgroup.read(cgroup.Places(0)) == Container()


def test_counters_are_told_as_their_growth_and_levels_as_they_stand():
    before = Container(version=2, throttled_periods=3, memory_usage=10, memory_limit=100)
    after = Container(version=2, throttled_periods=8, memory_usage=50, memory_limit=100, refaults=4)
    grown = cgroup.between(before, after)
    assert (grown.throttled_periods, grown.memory_usage, grown.memory_limit) == (5, 50, 100)
    assert grown.refaults is None


def read_recorded(name):
    """A real group's growth, and the window of its program that the sampler made meanwhile."""
    folders = [str(RECORDED / name / moment) for moment in ("before", "after")]
    before, after = (cgroup.read(cgroup.Places(2, *[folder] * 3)) for folder in folders)
    (window,) = read_windows((RECORDED / name / "windows.txt").read_text().splitlines())
    return cgroup.between(before, after), window


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttled", Kind.THROTTLING),
        ("pressed", Kind.MEMORY_PRESSURE),
        ("cached", Kind.DISK_IO),
        ("calm", Kind.CPU),
    ],
)
def test_recorded_groups_are_told_for_what_they_were(name, kind):
    container, window = read_recorded(name)
    assert bound([replace(window, container=container)]).kind is kind
    # The sampler itself found the group, and said so on the spot.
    assert window.container.version == 2
    assert bound([window]).kind is kind


@pytest.mark.parametrize("name", ["throttled", "pressed"])
def test_it_is_the_groups_files_that_tell_of_a_limit(name):
    _, window = read_recorded(name)
    told = bound([replace(window, container=Container())]).kind
    assert told not in (Kind.THROTTLING, Kind.MEMORY_PRESSURE)


def test_recorded_throttling_has_its_quota_and_its_periods():
    container, _ = read_recorded("throttled")
    assert container.cpu_limit == 0.2
    assert container.throttled_periods > 0.9 * container.periods > 80
    assert container.cpu_seconds == pytest.approx(2.0, rel=0.15)
    assert container.throttled_seconds > 5
    assert container.memory_events == 0


def test_recorded_pressure_has_its_stalls():
    container, _ = read_recorded("pressed")
    assert container.memory_limit == 48 << 20
    assert container.memory_events > 1_000
    assert container.major_faults > 1_000
    assert container.refaults > 1_000
    assert 1.0 < container.pressure.memory_full <= container.pressure.memory_some < 10.0
    assert container.throttled_periods == 0


def test_a_kernel_without_psi_tells_pressure_by_pages_read_again():
    kinds = []
    for name in ("pressed", "cached"):
        container, window = read_recorded(name)
        container = replace(container, pressure=Pressure())
        kinds.append(bound([replace(window, container=container)]).kind)
    assert kinds == [Kind.MEMORY_PRESSURE, Kind.DISK_IO]


def test_a_limit_that_is_full_of_written_files_hurts_nobody():
    container, _ = read_recorded("cached")
    assert container.memory_events > 100
    assert container.memory_usage > 0.99 * container.memory_limit
    assert container.pressure.memory_some < 0.5
