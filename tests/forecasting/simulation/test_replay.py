"""The replay's loop, with policies that do as they are told."""

import numpy as np

from foretide.forecasting.simulation.replay import Setting, drive, judge, replay


class Script:
    """Asks for these counts, one after the other, and notes what it was told."""

    def __init__(self, *counts):
        self.counts, self.seen = list(counts), []

    def step(self, demand, replicas, now):
        self.seen.append((demand, replicas, now))
        return self.counts[len(self.seen) - 1] if self.counts else replicas


def setting(trace, minute=2, **options):
    return Setting(**{"delay": 60.0, "start": trace.demand.start + 60 * minute, **options})


def test_a_policy_knows_the_last_step_that_is_over_and_what_it_asked_for(make_trace):
    trace = make_trace([11, 22, 33, 44, 55])
    script = Script(3, 5, 4)
    drive(trace, script, setting(trace))
    start = trace.demand.start
    # It starts with HPA's answer to 22: 22 / 7 is 4.
    assert script.seen == [(22, 4, start + 120), (33, 3, start + 180), (44, 5, start + 240)]


def test_what_is_asked_for_is_ready_after_the_delay(make_trace):
    trace = make_trace([10, 10, 50, 50, 50, 50])
    run = replay(trace, Script(5, 5, 5, 2), setting(trace))
    assert run.desired.tolist() == [5, 5, 5, 2]
    assert run.ready.tolist() == [2, 5, 5, 2]
    assert run.score.under_pct == 50.0
    assert run.score.pod_minutes == 17.0


def test_one_path_is_judged_under_any_delay(make_trace):
    trace = make_trace([10, 10, 50, 50, 50, 50])
    path = drive(trace, Script(5, 5, 5, 5), setting(trace))
    shares = [
        judge(trace, path, setting(trace, delay=delay)).score.under_pct
        for delay in (0.0, 60.0, 120.0, 600.0)
    ]
    assert shares == [0.0, 25.0, 50.0, 100.0]


def test_between_two_decisions_the_replicas_stay(make_trace):
    trace = make_trace([10] * 18, step=10.0)
    run = replay(trace, Script(2, 4, 3), setting(trace, minute=0, delay=30.0))
    assert run.desired.tolist() == [2] * 6 + [4] * 6 + [3] * 6
    assert run.ready.tolist() == [2] * 9 + [4] * 3 + [3] * 6


def test_a_gap_is_told_as_no_demand(make_trace):
    trace = make_trace([10, np.nan, np.nan, 10, 10])
    script = Script()
    run = replay(trace, script, setting(trace))
    assert [demand for demand, _, _ in script.seen] == [None, None, 10]
    assert len(run.times) == 3


def test_seeds_change_when_pods_are_ready_and_nothing_else(make_trace):
    trace = make_trace([10] * 12 + [200] * 30, step=10.0)
    options = {"delay": 100.0, "jitter": 0.5}
    path = drive(trace, Script(*[20] * 5), setting(trace, **options))
    runs = [judge(trace, path, setting(trace, seed=seed, **options)) for seed in (1, 1, 2)]
    assert runs[0].ready.tolist() == runs[1].ready.tolist() != runs[2].ready.tolist()
    assert runs[0].desired.tolist() == runs[2].desired.tolist()
