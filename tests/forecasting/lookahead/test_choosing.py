"""Finding a plan by replay."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.behavior import Behavior, Change
from foretide.forecasting.decision import (
    Memory,
    MetricObservation,
    MetricPolicy,
    Observation,
    ScalingPolicy,
    decide,
)
from foretide.forecasting.demand import Reading, Undecided
from foretide.forecasting.forecast import PeakForecast
from foretide.forecasting.lookahead.choosing import (
    Workload,
    _hpa,
    _planned,
    choose,
    trailing_minimum,
)
from foretide.forecasting.lookahead.plan import LEVELS, Plan, planned_peak, surprises
from foretide.forecasting.simulation.hpa import HpaPolicy

WORKLOAD = Workload(per_replica=1.0, min_replicas=2, lead=3)


def wave(minutes=4_000, noise=0.0):
    random = np.random.default_rng(3)
    times = np.arange(minutes)
    values = (30 + 20 * np.sin(2 * np.pi * times / 1440)) * random.normal(1, noise, minutes)
    return np.maximum(0.0, values)


def perfect(demand, window=4):
    """Quantiles that all are the maximum of what comes."""
    padded = np.concatenate((demand, np.full(window, demand[-1])))
    peaks = np.max([padded[shift : shift + len(demand)] for shift in range(window)], axis=0)
    return np.repeat(peaks[None, :], len(LEVELS), axis=0)


def test_a_perfect_forecast_is_both_safer_and_cheaper_than_hpa():
    demand = wave(noise=0.05)
    choice = choose(demand[1:], demand[:-1], perfect(demand[1:]), WORKLOAD, (0.7,))[0]
    assert isinstance(choice.plan, Plan)
    assert choice.expected.under <= choice.hpa.under + 1e-4
    assert choice.expected.replicas < 0.95 * choice.hpa.replicas


def test_a_forecast_that_always_errs_has_not_earned_to_act():
    demand = wave(noise=0.05)
    high = np.full((len(LEVELS), len(demand) - 1), 500.0)
    choice = choose(demand[1:], demand[:-1], high, WORKLOAD, (0.7,))[0]
    assert isinstance(choice.plan, Undecided)
    assert choice.plan.reason == "NoBetterThanReactive"


def test_a_workload_at_its_minimum_needs_no_plan():
    demand = np.full(3_000, 0.5)
    choice = choose(demand[1:], demand[:-1], perfect(demand[1:]), WORKLOAD, (0.7,))[0]
    assert isinstance(choice.plan, Undecided)


def test_more_headroom_makes_dearer_and_calmer_plans():
    demand = wave(noise=0.1)
    little, much = choose(demand[1:], demand[:-1], perfect(demand[1:]), WORKLOAD, (0.9, 0.6))
    assert much.expected.replicas > little.expected.replicas
    assert much.plan.slack >= little.plan.slack


def test_the_replayed_hpa_is_the_real_one_where_no_rate_policy_binds():
    demand = wave(2_000, noise=0.05)
    replayed = _hpa(demand, 0.7, WORKLOAD)[0]
    real = HpaPolicy(0.7, min_replicas=2, max_replicas=10_000, behavior=Behavior())
    replicas = int(max(2, np.ceil(demand[0] / 0.7)))
    same = 0
    for minute, value in enumerate(demand):
        replicas = real.step(value, replicas, 60.0 * minute)
        same += replicas == replayed[minute]
    assert same >= 0.995 * len(demand)


def test_a_surprise_is_held_for_the_window_and_what_was_foreseen_is_not():
    known = np.array([1.0, 8.0, *[1.0] * 8])
    plans = np.vstack([np.full(10, 2.0), np.array([2.0, 9.0, *[2.0] * 8])])
    workload = Workload(per_replica=1.0, min_replicas=2, lead=3, stabilization=5)
    surprised, foreseen = _planned(plans, known, np.array([1e-9]), np.zeros(1), workload)
    assert surprised.tolist() == [2, 8, 8, 8, 8, 8, 2, 2, 2, 2]
    assert foreseen.tolist() == [2, 9, 2, 2, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("patience", [0, 15])
def test_the_replayed_plan_is_what_the_decision_makes_of_it(patience):
    """The same forecasts through the operator's own decision, minute by minute."""
    demand = wave(1_500, noise=0.2)
    quantiles = perfect(demand[1:]) * np.linspace(0.8, 1.2, len(LEVELS))[:, None]
    peaks = planned_peak(quantiles, 1.0, 0.0, 30.0)
    slack = 0.15
    workload = Workload(per_replica=1.0, min_replicas=2, lead=3)
    calm = np.array([slack]), np.array([patience])
    (replayed,) = _planned(peaks[None, :], demand[:-1], *calm, workload)
    policy = ScalingPolicy(2, 10_000, (MetricPolicy("demand", 1.0),), 180.0)
    memory, replicas = Memory(), int(replayed[0])
    for minute, known in enumerate(demand[:-1]):
        now = 60.0 * minute
        upper = peaks[minute]
        peak = PeakForecast("", now, now, upper, upper, 0.9, slack, 60.0 * patience)
        seen = Observation(replicas, (MetricObservation(Reading(known, now), peak),))
        decision = decide(seen, policy, memory, now=now)
        memory = memory.after(decision, policy.behavior, now)
        change = Change(now, replicas, decision.desired)
        memory = replace(memory, changes=(*memory.changes[-20:], change))
        replicas = decision.desired
        assert replicas == replayed[minute]


def test_a_workload_without_a_window_for_scaling_down_is_replayed_too():
    demand = wave(1_500, noise=0.05)
    workload = Workload(per_replica=1.0, min_replicas=2, lead=3, stabilization=0)
    choice = choose(demand[1:], demand[:-1], perfect(demand[1:]), workload, (0.7,))[0]
    assert isinstance(choice.plan, Plan)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 6))
def test_ready_is_the_least_of_what_was_asked_within_the_lead(asked, lead):
    ready = trailing_minimum(np.array([asked], dtype=float), lead)[0]
    for minute, count in enumerate(ready):
        assert count == min(asked[max(0, minute - lead) : minute + 1])


def test_safety_in_nines_is_the_quantile_of_that_name():
    quantiles = np.linspace(1, 2, len(LEVELS))[:, None]
    assert planned_peak(quantiles, 1.0, 0.0, 1.0)[0] == pytest.approx(quantiles[3, 0])
    assert Plan.at_quantile(0.9, 0.0).quantile == pytest.approx(0.9)


def test_quiet_hours_are_planned_more_safely_where_evenness_asks_for_it():
    quantiles = np.linspace(1, 2, len(LEVELS))[:, None] * np.array([[1.0, 10.0]])
    same = planned_peak(quantiles, 1.0, 0.0, 10.0) / quantiles[0]
    more = planned_peak(quantiles, 1.0, 1.0, 10.0) / quantiles[0]
    assert same[0] == pytest.approx(same[1])
    assert more[0] > more[1] == pytest.approx(same[1])


def test_beyond_what_was_learned_a_margin_grows_with_safety():
    quantiles = np.ones((len(LEVELS), 1))
    planned = [planned_peak(quantiles, safety, 0.0, 1.0)[0] for safety in (1.0, 2.0, 3.0, 5.0)]
    assert planned == sorted(planned)
    assert planned[0] == 1.0
    assert planned[-1] < 2.0


def test_only_a_minute_after_one_that_outgrew_all_its_quantiles_has_room():
    quantiles = np.tile(np.linspace(5, 10, len(LEVELS))[:, None], 4)
    known = np.array([14.0, 9.9, 14.0, np.nan])  # nothing is known of what the first should be
    assert surprises(quantiles, known).tolist() == pytest.approx([0.0, 0.0, 20.0, 0.0])


def test_the_replay_pays_for_room_after_a_surprise_only_then():
    """To be as safe by the plan alone would take two fifths more replicas at all times."""
    demand = np.full(2_000, 10.0)
    demand[1_500:1_505] = [20.0, 28.0, 28.0, 20.0, 10.0]
    foreseen = np.concatenate((demand[:1], demand[:-1]))
    quantiles = np.tile(foreseen, (len(LEVELS), 1)) * np.linspace(1.0, 1.05, len(LEVELS))[:, None]
    workload = Workload(per_replica=1.0, min_replicas=2, lead=0)
    (choice,) = choose(demand, foreseen, quantiles, workload, (0.7,))
    assert isinstance(choice.plan, Plan)
    assert choice.expected.under == pytest.approx(1 / len(demand))
    assert choice.expected.replicas < 13.5


def test_noise_that_no_slack_covers_makes_a_patient_plan():
    """Few replicas, by which each minute's noise counts more than the slack does."""
    demand = 8.0 + np.random.default_rng(3).uniform(0, 3, 3_000)
    quantiles = demand[1:] * np.linspace(0.98, 1.05, len(LEVELS))[:, None]
    workload = Workload(per_replica=1.0, min_replicas=2, lead=3)
    (choice,) = choose(demand[1:], demand[:-1], quantiles, workload, (0.6,))
    assert isinstance(choice.plan, Plan)
    assert choice.plan.patience > 0
    assert choice.expected.replicas < choice.hpa.replicas
    (fixed,) = choose(demand[1:], demand[:-1], quantiles, replace(workload, fixed=True), (0.6,))
    assert fixed.plan.patience == 0
    assert fixed.expected.changes > choice.expected.changes
