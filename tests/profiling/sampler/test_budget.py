"""The rate keeps within what may be spent; moments are spread over the time."""

import random

import pytest

from foretide.profiling.sampler.budget import Budget, Cost, affordable, calibrated, next_rate
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


def test_rate_falls_at_once_and_rises_step_by_step():
    cheap, dear = Cost(0.0001, 0.0001, 0.0), Cost(0.005, 0.0001, 0.0)
    assert next_rate(BUDGET, 20.0, dear, 10.0) == pytest.approx(1.0)
    assert next_rate(BUDGET, 1.0, cheap, 10.0) == pytest.approx(3.0)


def test_one_long_stop_does_not_set_the_first_rate():
    assert calibrated([0.001, 0.001, 0.09]) == 0.001
    assert calibrated([]) == 0.0


@pytest.mark.parametrize("wrong", [{"cores": 0.0}, {"stopped": -1.0}, {"rate": 0.0}])
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
