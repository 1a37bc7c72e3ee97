"""Lead time learned from pods that were seen to start."""

import random
from statistics import NormalDist, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.lead_time import (
    LeadTime,
    LeadTimeSource,
    StartHistory,
    StartUp,
    effective,
    learn,
)

NOW = 1_790_000_000.0
HOUR = 3_600.0
DAY = 86_400.0


def start(seconds, *, ago=HOUR, waited=False):
    created = NOW - ago
    return StartUp(created, created + seconds, waited_for_node=waited)


def history_of(*starts):
    return StartHistory().after(starts, NOW)


def scale_ups(*seconds, waited=False):
    """One pod each, an hour apart."""
    return [start(value, ago=(i + 1) * HOUR, waited=waited) for i, value in enumerate(seconds)]


def lead_for(learned=60.0, node=None, source=LeadTimeSource.LEARNED):
    return LeadTime(learned, source, p90=learned, node_p90=node)


def test_the_declared_time_holds_until_five_scale_ups_have_been_seen():
    four = learn(history_of(*scale_ups(40, 41, 42, 43)), 180.0)
    assert (four.seconds, four.source, four.scale_ups) == (180.0, LeadTimeSource.DECLARED, 4)
    assert four.p90 is not None
    five = learn(history_of(*scale_ups(40, 41, 42, 43, 44)), 180.0)
    assert five.source is LeadTimeSource.LEARNED
    assert five.seconds == five.p90 == pytest.approx(45, abs=3)


def test_without_any_start_up_there_are_no_percentiles():
    assert learn(StartHistory(), 180.0) == LeadTime(180.0, LeadTimeSource.DECLARED)


def test_one_rollout_of_many_pods_is_one_scale_up():
    pods = [start(40.0 + i % 5, ago=HOUR - i) for i in range(50)]
    found = learn(history_of(*pods), 180.0)
    assert (found.scale_ups, found.source) == (1, LeadTimeSource.DECLARED)


def test_a_large_rollout_does_not_push_the_scale_ups_before_it_out():
    many = [start(300.0, ago=600.0) for _ in range(1_000)]
    found = learn(history_of(*scale_ups(*[40.0] * 12), *many), 180.0)
    assert found.source is LeadTimeSource.LEARNED
    assert found.samples == 12 + 20


def test_of_many_pods_that_start_together_a_fair_few_are_kept():
    pods = [start(float(seconds), ago=HOUR) for seconds in range(10, 510)]
    kept = history_of(*pods).scale_ups[0].seconds
    assert len(kept) == 20
    assert 150 < median(kept) < 370


@pytest.mark.parametrize("spread", [0.02, 0.05, 0.1, 0.2, 0.25])
def test_after_five_scale_ups_the_percentile_is_off_by_less_than_a_tenth(spread):
    true = 60 * NormalDist().inv_cdf(0.9) * spread + 60
    errors = []
    for seed in range(101):
        dice = random.Random(seed)
        seen = [max(1.0, dice.gauss(60, 60 * spread)) for _ in range(5)]
        errors.append(abs(learn(history_of(*scale_ups(*seen)), 180.0).seconds / true - 1))
    assert median(errors) < 0.1


def test_with_many_start_ups_it_is_their_empirical_percentile():
    seconds = [30.0] * 85 + [90.0] * 15
    pods = [start(value, ago=(i + 1) * 600.0) for i, value in enumerate(seconds)]
    assert learn(history_of(*pods[-60:]), 180.0).p90 == 90.0


def test_pods_that_waited_for_a_node_have_a_percentile_of_their_own():
    found = learn(history_of(*scale_ups(*[40.0] * 6), start(400, ago=90, waited=True)), 180.0)
    assert found.seconds == pytest.approx(40, rel=0.1)
    assert found.samples == 6
    assert found.node_p90 is not None
    assert found.node_p90 > 400


def test_what_is_older_than_thirty_days_is_forgotten():
    history = history_of(start(40, ago=29 * DAY), start(50, ago=31 * DAY))
    assert [one.seconds for one in history.scale_ups] == [(40.0,)]
    assert history.after((), NOW + 2 * DAY) == StartHistory()


def test_what_a_clock_that_was_set_back_puts_ahead_is_forgotten():
    assert history_of(start(40, ago=-DAY)) == StartHistory()


@given(
    st.lists(
        st.builds(
            start,
            st.floats(-10, 5_000),
            ago=st.floats(-DAY, 40 * DAY),
            waited=st.booleans(),
        ),
        max_size=300,
    )
)
def test_the_history_is_bounded_and_survives_status(starts):
    history = history_of(*starts)
    assert len(history.scale_ups) <= 60
    assert sum(len(one.seconds) for one in history.scale_ups) <= 200
    again = StartHistory.from_lines(history.lines(), NOW)
    before, after = learn(history, 180.0), learn(again, 180.0)
    assert (before.source, before.samples, before.scale_ups) == (
        after.source,
        after.samples,
        after.scale_ups,
    )
    if before.p90 is not None:
        assert after.p90 == pytest.approx(before.p90, rel=0.01, abs=0.2)


def test_the_lines_for_status_are_readable():
    history = history_of(start(41.4), start(43.0, ago=HOUR - 10), start(181, waited=True))
    assert history.lines() == [
        "2026-09-21T13:13:20Z 41.4 43",
        "2026-09-21T13:13:20Z waited 181",
    ]


@pytest.mark.parametrize(
    "line", [None, 7, "", "yesterday 40", "2026-09-21T12:53:20Z", "2026-09-21T12:53:20Z nan", {}]
)
def test_a_line_that_cannot_be_read_loses_no_other(line):
    good = "2026-09-21T12:53:20Z 41 43"
    assert StartHistory.from_lines([line, good], NOW).lines() == [good]


def test_pods_seen_before_a_restart_are_known_to_have_been_counted():
    history = history_of(start(41.0))
    assert history.counted_until >= NOW - HOUR + 41
    assert StartHistory().counted_until < 0


# The lead time in use


def in_use(lead, *, unschedulable=0, short=False):
    return effective(
        lead,
        unschedulable_now=unschedulable,
        nodes_short_recently=short,
        sync_period=15.0,
        metric_lag=30.0,
    )


def test_a_learned_time_gets_a_margin_and_a_declared_one_has_it():
    assert in_use(lead_for(60.0)) == 105.0
    assert in_use(lead_for(60.0, source=LeadTimeSource.DECLARED)) == 60.0


@pytest.mark.parametrize("why", [{"unschedulable": 1}, {"short": True}])
def test_while_nodes_are_short_the_longer_time_counts(why):
    assert in_use(lead_for(60.0, node=300.0), **why) == 345.0
    assert in_use(lead_for(60.0, node=20.0), **why) == 105.0


def test_before_a_wait_for_nodes_was_measured_three_minutes_are_added():
    assert in_use(lead_for(60.0), unschedulable=2) == 285.0


def test_there_is_an_end_to_it():
    assert in_use(lead_for(60.0, node=90_000.0), short=True) == 4 * HOUR


def test_nodes_are_short_for_a_while_after_a_pod_had_to_wait():
    history = history_of(start(300, ago=600, waited=True))
    assert history.nodes_short(NOW)
    assert not history.nodes_short(NOW + HOUR)
    assert not history_of(start(300, ago=600)).nodes_short(NOW)
