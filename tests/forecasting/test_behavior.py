"""`behavior` means what it means to the HorizontalPodAutoscaler."""

import pytest
from hypothesis import given
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

NOW = 1_700_000_000.0
PODS, PERCENT = PolicyType.PODS, PolicyType.PERCENT
FREE = Rules(stabilization=0, policies=(RatePolicy(PODS, 1000, 15),))


def rules(*policies, select=Select.MAX, stabilization=0.0):
    made = tuple(RatePolicy(kind, value, 60.0) for kind, value in policies)
    return Rules(stabilization=stabilization, policies=made, select=select)


def limited(desired, current, *, up=FREE, down=FREE, changes=(), least=1, most=1000):
    answer = limit_rate(
        desired,
        current=current,
        changes=changes,
        behavior=Behavior(up=up, down=down),
        min_replicas=least,
        max_replicas=most,
        now=NOW,
    )
    return answer.replicas, answer.by


def stable(desired, current, *past, up=0.0, down=300.0):
    answer = stabilize(
        desired,
        current=current,
        recent=[Recommendation(NOW - age, replicas) for age, replicas in past],
        behavior=Behavior(up=rules(stabilization=up), down=rules(stabilization=down)),
        now=NOW,
    )
    return answer.replicas, answer.by


def test_what_was_foreseen_holds_for_its_own_window():
    behavior = Behavior(down=Rules(stabilization=300, policies=(), foreseen=60))
    past = [
        Recommendation(NOW - 100, 9, foreseen=True),
        Recommendation(NOW - 100, 7),
        Recommendation(NOW - 50, 5, foreseen=True),
    ]

    def answer(*recent):
        return stabilize(3, current=9, recent=recent, behavior=behavior, now=NOW).replicas

    assert answer(past[0]) == 3
    assert answer(past[0], past[2]) == 5
    assert answer(*past) == 7


def test_a_window_that_was_set_holds_for_what_was_foreseen_too():
    down = Rules(stabilization=300, policies=())
    assert down.window(foreseen=True) == down.window(foreseen=False) == 300


def test_without_a_past_the_recommendation_stands():
    assert stable(3, 10) == (3, None)
    assert stable(20, 10) == (20, None)


def test_on_the_way_down_the_highest_recent_recommendation_counts():
    assert stable(3, 10, (100, 8), (200, 6)) == (8, "ScaleDownStabilized")


def test_scaling_down_never_becomes_scaling_up():
    assert stable(3, 10, (100, 15)) == (10, "ScaleDownStabilized")


def test_a_recommendation_as_old_as_the_window_is_forgotten():
    assert stable(3, 10, (300, 8)) == (3, None)
    assert stable(3, 10, (299, 8)) == (8, "ScaleDownStabilized")
    assert stable(20, 10, (60, 14), up=60) == (20, None)
    assert stable(20, 10, (59, 14), up=60) == (14, "ScaleUpStabilized")


def test_on_the_way_up_the_lowest_recent_recommendation_counts():
    assert stable(20, 10, (30, 14), (50, 17), up=60) == (14, "ScaleUpStabilized")


def test_scaling_up_never_becomes_scaling_down():
    assert stable(20, 10, (30, 4), up=60) == (10, "ScaleUpStabilized")


def test_the_window_for_scaling_down_does_not_delay_scaling_up():
    assert stable(20, 10, (30, 4), up=0) == (20, None)


def test_pods_allow_so_many_more_or_fewer():
    assert limited(20, 10, up=rules((PODS, 4))) == (14, "ScaleUpLimit")
    assert limited(2, 10, down=rules((PODS, 4))) == (6, "ScaleDownLimit")


def test_percent_is_of_the_replicas_at_the_start_of_the_period():
    assert limited(20, 10, up=rules((PERCENT, 50))) == (15, "ScaleUpLimit")
    assert limited(2, 10, down=rules((PERCENT, 50))) == (5, "ScaleDownLimit")


def test_a_percent_is_a_hundredth():
    assert limited(5000, 1000, up=rules((PERCENT, 25)), most=5000)[0] == 1250
    assert limited(2, 1000, down=rules((PERCENT, 25)))[0] == 750


def test_a_small_percentage_of_few_replicas_still_lets_them_grow():
    assert limited(9, 1, up=rules((PERCENT, 10))) == (2, "ScaleUpLimit")


def test_within_the_limits_nothing_is_clamped():
    assert limited(14, 10, up=rules((PODS, 4))) == (14, None)
    assert limited(6, 10, down=rules((PODS, 4))) == (6, None)
    assert limited(10, 10, up=rules((PODS, 4))) == (10, None)


@pytest.mark.parametrize(("select", "up", "down"), [("Max", 20, 0), ("Min", 14, 6)])
def test_max_selects_the_largest_change_and_min_the_smallest(select, up, down):
    both = rules((PODS, 4), (PERCENT, 100), select=Select(select))
    assert limited(50, 10, up=both)[0] == up
    assert limited(0, 10, down=both, least=0)[0] == down


def test_disabled_allows_no_change_in_its_direction():
    off = rules((PODS, 4), select=Select.DISABLED)
    assert limited(20, 10, up=off) == (10, "ScaleUpLimit")
    assert limited(2, 10, down=off) == (10, "ScaleDownLimit")
    assert limited(2, 10, up=off) == (2, None)


def test_no_policy_allows_no_change():
    assert limited(20, 10, up=rules()) == (10, "ScaleUpLimit")


def test_changes_within_the_period_use_the_allowance_up():
    up = rules((PODS, 4))
    assert limited(20, 10, up=up, changes=[Change(NOW - 30, 7, 10)])[0] == 11
    assert limited(20, 10, up=up, changes=[Change(NOW - 60, 7, 10)])[0] == 14
    assert limited(2, 10, down=up, changes=[Change(NOW - 30, 13, 10)])[0] == 9


def test_a_change_the_other_way_gives_allowance_back():
    """Added and removed pods are counted together, back to the count at the period's start."""
    assert limited(30, 10, up=rules((PODS, 4)), changes=[Change(NOW - 30, 13, 10)])[0] == 17


def test_an_allowance_that_was_overdrawn_never_reverses_the_direction():
    changes = [Change(NOW - 30, 1, 10)]
    assert limited(20, 10, up=rules((PODS, 4)), changes=changes) == (10, "ScaleUpLimit")


def test_a_count_out_of_bounds_is_brought_back_whatever_the_policies_say():
    off = rules((PODS, 1), select=Select.DISABLED)
    assert limited(80, 50, down=off, most=20) == (20, "TooManyReplicas")
    assert limited(1, 2, up=off, least=5) == (5, "TooFewReplicas")


def test_minimum_and_maximum_name_themselves():
    assert limited(50, 10, most=20) == (20, "TooManyReplicas")
    assert limited(0, 10, least=3) == (3, "TooFewReplicas")


def test_where_policy_and_bound_say_the_same_the_bound_is_named():
    pods = rules((PODS, 4))
    assert limited(50, 10, up=pods, most=14) == (14, "TooManyReplicas")
    assert limited(0, 10, down=pods, least=6) == (6, "TooFewReplicas")


def test_the_defaults_are_those_of_the_hpa():
    behavior = Behavior()
    assert behavior.up.stabilization == 0
    assert behavior.down.stabilization == 300
    assert behavior.up.policies == (RatePolicy(PERCENT, 100, 15), RatePolicy(PODS, 4, 15))
    assert behavior.down.policies == (RatePolicy(PERCENT, 100, 15),)
    assert (behavior.up.tolerance, behavior.down.tolerance) == (0.1, 0.1)


def test_the_default_for_scaling_up_is_the_larger_of_doubling_and_four_pods():
    up = Behavior().up
    assert limited(100, 2, up=up)[0] == 6
    assert limited(100, 10, up=up)[0] == 20


def test_memory_reaches_back_to_the_longest_window_or_period():
    assert Behavior().longest_memory == 300
    slow = Rules(stabilization=0, policies=(RatePolicy(PODS, 1, 1800),))
    assert Behavior(up=slow).longest_memory == 1800
    nothing = Rules(stabilization=0, policies=())
    assert Behavior(up=nothing, down=nothing).longest_memory == 0


counts = st.integers(0, 60)
ages = st.floats(0, 700)
rate_policies = st.builds(
    RatePolicy, st.sampled_from(PolicyType), st.integers(1, 200), st.floats(1, 600)
)
any_rules = st.builds(
    Rules,
    stabilization=st.floats(0, 600),
    policies=st.lists(rate_policies, max_size=3).map(tuple),
    select=st.sampled_from(Select),
)
behaviors = st.builds(Behavior, up=any_rules, down=any_rules)
histories = st.lists(
    st.builds(lambda age, a, b: Change(NOW - age, a, b), ages, counts, counts), max_size=4
)
pasts = st.lists(st.builds(lambda age, n: Recommendation(NOW - age, n), ages, counts), max_size=4)
bounds = st.tuples(counts, counts).map(sorted)


@given(counts, counts, behaviors, histories, bounds)
def test_the_result_is_always_within_minimum_and_maximum(
    desired, current, behavior, changes, bounds
):
    least, most = bounds
    answer = limit_rate(
        desired,
        current=current,
        changes=changes,
        behavior=behavior,
        min_replicas=least,
        max_replicas=most,
        now=NOW,
    )
    assert least <= answer.replicas <= most


@given(counts, counts, counts, behaviors, histories, bounds)
def test_more_desired_never_gives_less_after_the_rate_policies(
    desired, more, current, behavior, changes, bounds
):
    low, high = (
        limit_rate(
            wanted,
            current=current,
            changes=changes,
            behavior=behavior,
            min_replicas=bounds[0],
            max_replicas=bounds[1],
            now=NOW,
        ).replicas
        for wanted in (desired, desired + more)
    )
    assert low <= high


@given(counts, counts, counts, behaviors, pasts)
def test_more_desired_never_gives_less_after_stabilisation(
    desired, more, current, behavior, recent
):
    low, high = (
        stabilize(wanted, current=current, recent=recent, behavior=behavior, now=NOW).replicas
        for wanted in (desired, desired + more)
    )
    assert low <= high


@given(counts, counts, behaviors, pasts)
def test_stabilisation_only_ever_softens_the_change(desired, current, behavior, recent):
    answer = stabilize(desired, current=current, recent=recent, behavior=behavior, now=NOW)
    assert min(current, desired) <= answer.replicas <= max(current, desired)
    assert (answer.by is None) == (answer.replicas == desired)
