"""What the real Prometheus of a sandbox answers: history and live as one series, and each mode."""

import math
import time

import pytest

from sandbox import SandboxError

pytestmark = pytest.mark.sandbox


def test_history_and_live_are_one_series(sandbox, ask, demand, eventually):
    past = len([t for t in demand.times if t < demand.origin])
    (seen,) = eventually(
        lambda: (n := ask("count_over_time(demand_rps[4d])")) and n[0] > past and n
    )
    assert seen >= past + 1
    # A scrape that comes too late leaves a gap.
    eventually(lambda: len(ask("count by (job, instance) (demand_rps)")) == 1)
    (two_days_ago,) = ask("demand_rps offset 1d")
    assert 100 <= two_days_ago < 100 + 1440


def test_live_values_are_the_trace_at_this_moment(sandbox, ask, demand, eventually):
    def is_of_this_minute():
        (value,) = ask("demand_rps")
        minute = int((demand.origin + time.time() - sandbox.started) // 60)
        return value in demand.values[minute - 1 : minute + 1]

    # Until the next scrape it is what another test has set.
    eventually(is_of_this_minute)


def test_labels_tell_series_apart(ask, eventually):
    assert eventually(lambda: ask('other_rps{path="/a"}'))


def test_nan_reaches_prometheus(playing, ask, eventually):
    playing.set("nan")
    assert eventually(lambda: (v := ask("demand_rps")) and math.isnan(v[0]))


def test_an_absent_series_has_no_answer_at_the_next_scrape(playing, ask, eventually):
    playing.set("absent", series="demand_rps")
    # Both at once: a scrape that failed would leave nothing of either.
    eventually(lambda: ask("demand_rps") == [] and ask("other_rps"))


def test_zero_is_an_exact_zero(playing, ask, eventually):
    playing.set("zero")
    eventually(lambda: ask("demand_rps") == [0.0])


def test_a_number_is_held(playing, ask, eventually):
    playing.set(42.5)
    eventually(lambda: ask("demand_rps") == [42.5])


def test_a_stale_series_answers_with_an_old_sample(playing, ask, eventually):
    playing.set("stale")
    since = time.time()
    # A scrape that was under way then may have brought a newer sample than the one before.
    up = eventually(lambda: (at := ask("timestamp(up)")[0]) > since and at)
    (first,) = ask("timestamp(demand_rps)")
    # Scrapes go on and succeed; the sample only grows older.
    eventually(lambda: ask("timestamp(up)")[0] > up + 1)
    (later,) = ask("timestamp(demand_rps)")
    assert later == first
    assert ask("time() - timestamp(demand_rps)")[0] > 1


def test_a_killed_player_goes_on_with_its_mode(sandbox, playing, ask, eventually):
    playing.set(7)
    player = sandbox.component("player")
    player.kill()
    eventually(lambda: ask("up") == [0.0])
    player.start()
    assert playing.modes["demand_rps"] == 7
    eventually(lambda: ask("demand_rps") == [7.0])


def test_prometheus_keeps_its_data_over_a_restart(sandbox, ask):
    (before,) = ask("count_over_time(demand_rps[4d])")
    sandbox.component("prometheus").restart()
    (after,) = ask("count_over_time(demand_rps[4d])")
    assert after >= before


def test_an_unknown_mode_is_refused(playing):
    with pytest.raises(SandboxError, match="is not a mode"):
        playing.set("broken")


def test_an_unknown_series_is_refused(playing):
    with pytest.raises(SandboxError, match="no series 'nope'"):
        playing.set("nan", series="nope")


def test_a_metric_without_an_answer_is_an_error_for_the_hpa(sandbox):
    path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/nothing"
    with pytest.raises(SandboxError, match=r"has no answer|NotFound"):
        sandbox.kubectl("get", "--raw", path)
