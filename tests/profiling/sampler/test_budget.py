"""The rate keeps within what may be spent; moments are spread over the time."""

import random
from statistics import fmean

import pytest

from foretide.profiling.sampler.budget import (
    Budget,
    Cost,
    Debt,
    Stop,
    affordable,
    calibrated,
    hindered,
    next_rate,
)
from foretide.profiling.sampler.slots import Slots

BUDGET = Budget(cores=0.02, stopped=0.005, rate=20.0)


@pytest.mark.parametrize(
    ("cost", "rate"),
    [
        (Cost(stop=0.0001, sample=0.0001, window=0.0), 20.0),
        (Cost(stop=0.001, sample=0.0001, window=0.0), 5.0),  # 5 stops of 1 ms are 0.5 %
        (Cost(stop=0.0001, sample=0.002, window=0.0), 10.0),
        (Cost(stop=0.0001, sample=0.002, window=0.1), 5.0),
        (Cost(stop=1.0, sample=1.0, window=9.0), 0.5),  # never less: it would say nothing
    ],
)
def test_rate_that_is_affordable(cost, rate):
    assert affordable(BUDGET, cost, 10.0) == pytest.approx(rate)


def test_a_short_window_has_a_sample_at_least():
    dear = Cost(stop=1.0, sample=1.0, window=9.0)
    assert affordable(BUDGET, dear, 1.0) == pytest.approx(1.0)


def test_rate_falls_at_once_and_rises_step_by_step():
    cheap, dear = Cost(0.0001, 0.0001, 0.0), Cost(0.005, 0.0001, 0.0)
    assert next_rate(BUDGET, 20.0, dear, 10.0) == pytest.approx(1.0)
    assert next_rate(BUDGET, 1.0, cheap, 10.0) == pytest.approx(3.0)


def test_one_long_stop_does_not_set_the_first_rate():
    assert calibrated([Stop(0.0005, True, it) for it in (0.001, 0.001, 0.09)]) == 0.001
    busy = [Stop(0.0003, True, it) for it in (0.01, 0.0004, 0.012, 0.0005, 0.02)]
    assert calibrated(busy) == 0.0005
    assert calibrated([]) == 0.0


def test_the_stop_with_which_a_window_begins_is_not_the_samples():
    # Of 55 ms that it may stand still, 5 are gone before the first of them.
    assert affordable(Budget(), Cost(0.0005, 0.0, 0.0, first=0.005), 10.0) == pytest.approx(10.0)
    assert affordable(Budget(), Cost(0.0005, 0.0, 0.0, first=0.1), 10.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "wrong", [{"cores": 0.0}, {"stopped": -1.0}, {"rate": 0.0}, {"cores": float("nan")}]
)
def test_budget_that_allows_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match=r"budget|rate"):
        Budget(**wrong)


def test_one_moment_in_each_slot_at_no_fixed_distance():
    slots = Slots(10.0, random.Random(1))
    slots.begin(10.0, 100.0)
    moments = []
    for number in range(50):
        assert 100 + number / 10 <= slots.due < 100 + (number + 1) / 10
        moments.append(slots.due % 0.1)
        slots.taken(slots.due)
    assert slots.late == 0
    assert max(moments) - min(moments) > 0.05


def test_slots_that_have_passed_by_are_lost_and_counted():
    slots = Slots(10.0, random.Random(1))
    slots.begin(10.0, 0.0)
    slots.taken(1.0)
    assert slots.due >= 0.9
    assert slots.late >= 9


def test_a_stop_costs_a_sleeper_only_what_it_wakes_into():
    asleep, at_work = (Stop(0.001, it, most=0.002) for it in (False, True))

    assert hindered([at_work, at_work], wakes=0.0) == pytest.approx(0.002)
    assert hindered([asleep, at_work], wakes=0.0) == pytest.approx(0.001)
    assert hindered([asleep], wakes=200.0) == pytest.approx(0.0001)
    assert hindered([asleep], wakes=1e9) == pytest.approx(0.001)


def test_what_a_loud_window_has_spent_too_much_the_next_ones_save():
    budget = Budget(cores=0.016, stopped=0.005)
    debt = Debt().after(budget, cores=0.01, stopped=0.006)

    assert debt.paid_from(budget).stopped == pytest.approx(0.005 - 0.001 / 3)
    assert debt.after(budget, 0.016, 0.004).paid_from(budget).stopped == budget.stopped
    loudest = debt.after(budget, 0.016, 0.5)
    assert loudest.paid_from(budget).stopped == pytest.approx(budget.stopped / 2)


def test_what_a_quiet_window_has_left_is_saved_up_but_not_for_long():
    budget = Budget(cores=0.016, stopped=0.005)
    debt = Debt().after(budget, cores=0.013, stopped=0.005)

    assert debt.paid_from(budget).cores == pytest.approx(0.017)
    for _ in range(100):
        debt = debt.after(budget, cores=0.0, stopped=0.0)
    assert debt.paid_from(budget).cores == pytest.approx(budget.cores * 7 / 6)
    assert debt.paid_from(budget).stopped == pytest.approx(budget.stopped * 7 / 6)


def test_stops_whose_cost_varies_keep_the_budget_on_average():
    budget, dice = Budget(rate=1000.0), random.Random(1)
    rate, debt, spent = 10.0, Debt(), list[float]()
    cost: Cost | None = None
    for _ in range(400):
        stop = 0.0004 * dice.choice([0.5, 1.0, 2.0])
        spent.append(rate * stop)
        debt = debt.after(budget, 0.0, spent[-1])
        cost = Cost(stop, 0.0, 0.0).after(cost)
        rate = next_rate(debt.paid_from(budget), rate, cost, 10.0)

    assert fmean(spent) == pytest.approx(budget.stopped, rel=0.1)
