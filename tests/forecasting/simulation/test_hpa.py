"""The simulated HPA, sync by sync.

Covered: targets, tolerance, both ways of scaling (with and without `behavior`), bounds, missing
metrics, what is remembered, KEDA's cache. That the real controller does the same is shown in
tests/sandbox/test_hpa_parity.py.
"""

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.forecasting.behavior import (
    Behavior,
    Change,
    PolicyType,
    RatePolicy,
    Recommendation,
    Rules,
    Select,
    limit_rate,
    stabilize,
)
from foretide.forecasting.simulation.hpa import HpaPolicy

NOW = 1_790_000_000.0


def hpa(target=100, *, low=1, high=50, **options):
    return HpaPolicy(target, min_replicas=low, max_replicas=high, **options)


def pods(value, period):
    return RatePolicy(PolicyType.PODS, value, period)


def percent(value, period):
    return RatePolicy(PolicyType.PERCENT, value, period)


def course(policy, metrics, replicas, *, period=15.0):
    """The replicas after each sync, when nobody else changes them."""
    seen = []
    for number, metric in enumerate(metrics):
        replicas = policy.step(metric, replicas, NOW + number * period)
        seen.append(replicas)
    return seen


ANY_BEHAVIOR = [None, Behavior()]


@pytest.mark.parametrize("behavior", ANY_BEHAVIOR)
@pytest.mark.parametrize(
    ("metric", "replicas"),
    [(1000, 10), (1100, 10), (1100.1, 12), (900, 10), (1500, 15), (1501, 16), (99, 10)],
)
def test_an_average_value_is_demand_over_target_outside_the_tolerance(behavior, metric, replicas):
    # The last one: fewer are wanted, but the window of five minutes still holds the ten.
    assert hpa(behavior=behavior).step(metric, 10, NOW) == replicas


def test_a_value_is_a_ratio_of_the_ready_pods():
    policy = HpaPolicy(target_value=20, min_replicas=1, max_replicas=50)
    assert policy.step(30, 10, NOW, ready=6) == 10  # 9 wanted, 10 held for five minutes
    assert policy.step(50, 10, NOW + 15, ready=6) == 15
    assert policy.step(22, 15, NOW + 30, ready=6) == 15  # within the tolerance


def test_the_tolerance_is_of_the_pods_that_exist():
    # 12 are asked for, 10 exist: 1100 is within 10 % of what ten should carry, so ten it is.
    policy = hpa(behavior=Behavior(down=Rules(0, (percent(100, 15),))))
    assert policy.step(1100, 12, NOW, pods=10) == 10
    assert policy.step(1111, 12, NOW + 15, pods=10) == 12


@pytest.mark.parametrize(
    ("options", "metric", "replicas"),
    [
        ({"tolerance": 0.0}, 1001, 11),
        ({"tolerance": 0.25}, 1250, 10),
        ({"behavior": Behavior(up=Rules(0, (pods(9, 15),), tolerance=0.3))}, 1300, 10),
        ({"behavior": Behavior(up=Rules(0, (pods(9, 15),), tolerance=0.3))}, 1301, 14),
        ({"behavior": Behavior(), "tolerance": 0.5}, 1500, 10),
    ],
)
def test_the_tolerance_can_be_set(options, metric, replicas):
    assert hpa(**options).step(metric, 10, NOW) == replicas


@pytest.mark.parametrize("metric", [None, math.nan, math.inf])
@pytest.mark.parametrize("behavior", ANY_BEHAVIOR)
def test_without_a_metric_nothing_changes_and_nothing_is_remembered(behavior, metric):
    policy = hpa(behavior=behavior)
    metrics = [1000, *[metric] * 40, 500]
    assert course(policy, metrics, 10) == [10] * 41 + [5]


@pytest.mark.parametrize("behavior", ANY_BEHAVIOR)
def test_scaling_down_waits_for_the_highest_of_five_minutes(behavior):
    counts = course(hpa(behavior=behavior), [1000, *[300] * 21], 10)
    assert counts == [10] * 20 + [3, 3]


@pytest.mark.parametrize("behavior", ANY_BEHAVIOR)
def test_what_runs_at_the_first_sync_is_a_recommendation(behavior):
    assert course(hpa(behavior=behavior), [100] * 21, 7) == [7] * 20 + [1]


def test_without_behavior_replicas_double_or_reach_four():
    assert course(hpa(), [5000] * 6, 1) == [4, 8, 16, 32, 50, 50]


def test_with_the_default_behavior_four_pods_may_be_added_to_few():
    assert course(hpa(behavior=Behavior()), [5000] * 6, 1) == [5, 10, 20, 40, 50, 50]


def test_without_behavior_a_spike_that_is_over_is_still_scaled_up_to():
    spike = [3000, 600, 600]
    assert course(hpa(), spike, 2) == [4, 8, 16]
    assert course(hpa(behavior=Behavior()), spike, 2) == [6, 6, 6]


def test_a_rate_policy_counts_what_was_added_within_its_period():
    behavior = Behavior(up=Rules(0, (pods(4, 60),)))
    assert course(hpa(behavior=behavior), [5000] * 9, 2) == [6, 6, 6, 6, 10, 10, 10, 10, 14]


def test_the_slower_policy_holds_where_the_smallest_change_is_selected():
    rules = Rules(0, (percent(100, 15), pods(3, 15)), Select.MIN)
    assert course(hpa(behavior=Behavior(up=rules)), [5000] * 3, 1) == [2, 4, 7]


def test_a_disabled_direction_stays():
    behavior = Behavior(down=Rules(0, (percent(100, 15),), Select.DISABLED))
    assert course(hpa(behavior=behavior), [100, 100], 10) == [10, 10]


def test_a_window_for_scaling_up_waits_for_the_lowest():
    behavior = Behavior(up=Rules(60, (percent(900, 15),)))
    assert course(hpa(behavior=behavior), [1000, *[2000] * 5], 10) == [10] * 4 + [20, 20]


def test_changes_are_forgotten_by_the_periods_of_their_own_direction():
    # The first two pods are forgotten when the next two are added, 30 s later, although the policy
    # for scaling down looks back two minutes: 14 - 2 remembered - 2 allowed.
    behavior = Behavior(up=Rules(0, (pods(9, 15),)), down=Rules(0, (pods(2, 120),)))
    assert course(hpa(behavior=behavior), [1150, 1200, 1400, 100], 10) == [12, 12, 14, 10]


@pytest.mark.parametrize("behavior", ANY_BEHAVIOR)
def test_a_count_outside_the_bounds_comes_back_at_once_and_no_metric_is_asked(behavior):
    policy = hpa(low=5, high=20, behavior=behavior)
    assert policy.step(None, 2, NOW) == 5
    assert policy.step(None, 40, NOW + 15) == 20


@pytest.mark.parametrize("behavior", ANY_BEHAVIOR)
@pytest.mark.parametrize(("metric", "replicas"), [(0, 3), (1e300, 12)])
def test_the_bounds_hold_whatever_the_metric_says(behavior, metric, replicas):
    policy = hpa(low=3, high=12, behavior=behavior)
    assert course(policy, [metric] * 30, 6)[-1] == replicas


def test_zero_replicas_are_somebodys_decision():
    assert hpa().step(1000, 0, NOW) == 0


def test_keda_asks_anew_for_each_sync_unless_it_caches():
    rising = [400, 500, 600, 700]
    bounds = {"min_replicas": 1, "max_replicas": 50}
    assert course(HpaPolicy.keda(100, **bounds), rising, 4) == [4, 5, 6, 7]
    assert course(HpaPolicy.keda(100, cached=True, **bounds), rising, 4) == [4, 4, 6, 6]


def test_a_cache_keeps_a_failure_as_long_as_a_value():
    policy = hpa(poll_interval=30)
    assert course(policy, [None, 900, 900], 4) == [4, 4, 8]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give target_average_value or target_value"),
        ({"target_average_value": 1, "target_value": 1}, "give target_average_value or"),
        ({"target_average_value": 0}, "must be more than 0, not 0"),
        ({"target_value": math.nan}, "must be more than 0, not nan"),
        ({"target_value": 1, "min_replicas": 0}, "min_replicas 0 is not within 1…9"),
        ({"target_value": 1, "min_replicas": 10}, "min_replicas 10 is not within 1…9"),
    ],
)
def test_nonsense_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        HpaPolicy(**{"min_replicas": 1, "max_replicas": 9, **options})


@pytest.mark.slow
def test_a_step_takes_no_longer_with_more_to_remember():
    metrics = [1000 + 900 * math.sin(number / 40) + number % 7 * 20 for number in range(4000)]

    def cpu_of(window):
        policy = hpa(70, behavior=Behavior(down=Rules(window, (percent(10, 60),))))
        began = time.process_time()
        course(policy, metrics, 10, period=1.0)
        return time.process_time() - began

    # Alternating, and the best of each: a busy machine is slow for both. To look through an hour
    # of syncs at every sync takes thirty times as long as through a minute of them.
    trials = [(cpu_of(60), cpu_of(3600)) for _ in range(5)]
    short, long = map(min, zip(*trials, strict=True))
    assert long < 5 * short


rules = st.builds(
    Rules,
    stabilization=st.sampled_from([0.0, 30.0, 60.0, 300.0]),
    policies=st.lists(
        st.builds(
            RatePolicy,
            st.sampled_from(list(PolicyType)),
            st.integers(1, 200),
            st.sampled_from([15.0, 45.0, 120.0]),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    select=st.sampled_from(list(Select)),
)
metrics = st.lists(
    st.one_of(st.none(), st.integers(0, 3000), st.integers(950, 1150)), min_size=1, max_size=60
)


@pytest.mark.slow
@given(behavior=st.builds(Behavior, up=rules, down=rules), metrics=metrics)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_what_is_forgotten_would_have_changed_nothing(behavior, metrics):
    """The same with everything remembered, where the policies of both directions look as far back.

    Only then: the controller forgets changes by the periods of their own direction.
    """
    longest = max(policy.period for policy in (*behavior.up.policies, *behavior.down.policies))
    marker = RatePolicy(PolicyType.PERCENT, 100, longest)
    behavior = Behavior(
        up=Rules(behavior.up.stabilization, (*behavior.up.policies, marker), behavior.up.select),
        down=Rules(
            behavior.down.stabilization, (*behavior.down.policies, marker), behavior.down.select
        ),
    )
    replicas, recent, changes, expected = 10, [Recommendation(NOW, 10)], [], []
    for number, metric in enumerate(metrics):
        now = NOW + number * 15.0
        if metric is not None:
            within = 0.9 <= metric / (100 * replicas) <= 1.1
            proposed = replicas if within else math.ceil(metric / 100)
            stable = stabilize(
                proposed, current=replicas, recent=recent, behavior=behavior, now=now
            )
            recent.append(Recommendation(now, proposed))
            desired = limit_rate(
                stable.replicas,
                current=replicas,
                changes=changes,
                behavior=behavior,
                min_replicas=2,
                max_replicas=25,
                now=now,
            ).replicas
            if desired != replicas:
                changes.append(Change(now, replicas, desired))
            replicas = desired
        expected.append(replicas)
    assert course(hpa(low=2, high=25, behavior=behavior), metrics, 10) == expected


@given(behavior=st.one_of(st.none(), st.builds(Behavior, up=rules, down=rules)), metrics=metrics)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_the_count_stays_within_the_bounds(behavior, metrics):
    counts = course(hpa(low=3, high=12, behavior=behavior), metrics, 6)
    assert all(3 <= count <= 12 for count in counts)
