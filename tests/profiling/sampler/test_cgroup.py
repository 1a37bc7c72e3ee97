"""Control groups of both versions: files as the kernel writes them, and what is missing."""

import pytest

from foretide.profiling.sampler import cgroup
from foretide.profiling.window import Container

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
