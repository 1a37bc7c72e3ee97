"""The benchmark of what watching costs, on a database small enough for a test."""

import pytest

from benchmarks import dbadvisor_watch
from sandbox.errors import SandboxError
from sandbox.postgres_binaries import debian


@pytest.mark.postgres
@pytest.mark.slow
def test_watching_costs_less_than_reading_everything_each_time():
    try:
        programs = debian()
    except SandboxError as missing:
        pytest.skip(str(missing))
    figures = dbadvisor_watch.measure(tables=60, statements=240, minutes=3, programs=programs)
    assert 0 < figures["watch_cpu_pct"] < figures["watch_cpu_pct_naive"]
    assert figures["watch_first_cpu_s"] > 0
