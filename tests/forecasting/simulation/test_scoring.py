"""Scores, computed by hand."""

import numpy as np
import pytest

from foretide.forecasting.simulation.scoring import score


def judged(demand, ready, desired, **options):
    return score(
        np.array(demand, dtype=float),
        np.array(ready, dtype=float),
        np.array(desired, dtype=float),
        10.0,
        **{"minimum": 1, "step": 60.0, **options},
    )


def test_each_figure_of_a_small_example():
    #                 needs:  2   3   5   2
    found = judged([20, 25, 50, 20], [2, 2, 4, 4], [2, 4, 4, 3])
    assert found.under_pct == 50.0
    assert found.unserved_pct == pytest.approx(100 * (5 + 10) / 115)
    assert found.over_pct == 25.0
    assert found.theta_under_pct == pytest.approx(100 * (1 / 3 + 1 / 5) / 4)
    assert found.theta_over_pct == pytest.approx(100 * (2 / 2) / 4)
    # Supply moves 0, +, 0; need moves +, +, -.
    assert found.instability_pct == pytest.approx(100 * 2 / 3)
    assert found.pod_minutes == 13.0
    assert found.scale_events_per_day == pytest.approx(2 / (4 / 1440))


def test_just_enough_is_enough():
    assert judged([30.0], [3], [3]).under_pct == 0.0
    assert judged([0.1 * 3 * 100], [3], [3]).under_pct == 0.0


def test_pods_cost_from_when_they_are_asked_for():
    assert judged([10, 10], [1, 1], [5, 5]).pod_minutes == 10.0


def test_steps_whose_demand_is_unknown_count_for_nothing():
    found = judged([10, np.nan, 10], [1, 0, 1], [1, 9, 1])
    assert (found.under_pct, found.pod_minutes, found.scale_events_per_day) == (0.0, 2.0, 0.0)


def test_the_minimum_is_not_too_many():
    assert judged([1.0], [2], [2], minimum=2).over_pct == 0.0


def test_a_short_step_costs_its_share_of_a_minute():
    assert judged([10] * 6, [1] * 6, [2] * 6, step=10.0).pod_minutes == 2.0


def test_nothing_known_is_no_error():
    assert judged([np.nan], [1], [1]).under_pct == 0.0
