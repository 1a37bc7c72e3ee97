"""The cost guard."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.guards import (
    BY_BUDGET,
    BY_REPLICAS,
    CostPolicy,
    Guarded,
    Spending,
    baseline,
    guard,
)

NOW = 1_790_000_000.0
HOUR = 3_600.0
DAY = 86_400.0


def budget(pod_hours):
    return CostPolicy(max_extra_pod_hours=pod_hours)


class Bill:
    """A workload for which HPA always wants 10, and whose guard is asked every minute."""

    def __init__(self, policy, *, hpa=10):
        self.policy, self.hpa, self.now, self.spending = policy, hpa, NOW, Spending()

    def tick(self, proposed, *, seconds=60.0):
        """What the guard leaves of a proposal."""
        found, self.spending = guard(
            proposed, hpa=self.hpa, policy=self.policy, spending=self.spending, now=self.now
        )
        self.spending = self.spending.after(desired=found.replicas, hpa=self.hpa, now=self.now)
        self.now += seconds
        return found

    def run(self, proposed, hours):
        """Replicas over so many hours, minute by minute."""
        return [self.tick(proposed).replicas for _ in range(round(hours * 60))]

    @property
    def spent(self):
        return self.spending.spent(self.now)


def test_without_limits_everything_passes():
    assert Bill(CostPolicy()).tick(1_000) == Guarded(1_000)


def test_the_forecast_may_add_so_many_replicas_and_no_more():
    bill = Bill(CostPolicy(max_extra_replicas=5))
    assert bill.tick(15) == Guarded(15)
    found = bill.tick(16)
    assert (found.replicas, found.by) == (15, BY_REPLICAS)
    assert "may add 5 replicas to HPA's 10, not 6" in found.message


def test_what_is_less_than_hpas_answer_is_never_touched():
    bill = Bill(CostPolicy(max_extra_replicas=0, max_extra_pod_hours=0.001))
    bill.run(20, 1)
    assert bill.tick(7).replicas == 7
    assert bill.tick(7).by is None


def test_what_must_not_fall_is_never_taken_away():
    kept = {"hpa": 10, "keep": 30, "now": NOW}
    dear = CostPolicy(max_extra_replicas=2)
    found, _ = guard(30, policy=dear, spending=Spending(), **kept)
    assert found == Guarded(30)
    found, _ = guard(40, policy=dear, spending=Spending(), **kept)
    assert (found.replicas, found.by) == (30, BY_REPLICAS)
    assert "2 replicas to HPA's 10, not 30, and none of the 30 is taken away now" in found.message
    found, _ = guard(11, policy=dear, spending=Spending(), **kept)
    assert found == Guarded(11)
    spent = Spending(int(NOW // HOUR), (7.0,), NOW, exhausted=True)
    found, _ = guard(30, policy=budget(6.0), spending=spent, **kept)
    assert (found.replicas, found.by) == (30, None)
    found, _ = guard(40, policy=budget(6.0), spending=spent, **kept)
    assert (found.replicas, found.by) == (30, BY_BUDGET)


@pytest.mark.parametrize(
    ("hpa", "outage", "last", "expected"),
    [
        (8, False, 12, 8),
        (None, True, 12, 12),
        (8, True, 12, 12),
        (15, True, 12, 15),
        (None, True, None, 20),
        (8, True, None, 20),
    ],
)
def test_in_an_outage_hpa_would_run_no_fewer_than_it_did(hpa, outage, last, expected):
    found = baseline(hpa, outage=outage, current=20, spending=Spending(hpa=last))
    assert found == expected


def test_spending_remembers_what_hpa_said_last():
    spending = Spending().after(desired=12, hpa=10, now=NOW)
    assert spending.hpa == 10
    assert spending.after(desired=12, hpa=11, now=NOW + 60).hpa == 11
    assert spending.after(desired=12, hpa=9, now=NOW - 60).hpa == 9


def test_spending_is_what_was_more_than_hpa_over_the_last_day():
    bill = Bill(CostPolicy())
    bill.run(16, 2)
    assert bill.spent == pytest.approx(12, rel=0.02)
    bill.run(10, 20)
    assert bill.spent == pytest.approx(12, rel=0.02)
    bill.run(10, 3)
    assert bill.spent == pytest.approx(6, abs=0.7)
    bill.run(10, 2)
    assert bill.spent == pytest.approx(0, abs=1e-9)


def test_hours_that_were_leaner_than_hpa_pay_for_others():
    bill = Bill(budget(5.0))
    bill.run(7, 4)
    assert bill.spent == pytest.approx(-12, rel=0.02)
    assert set(bill.run(14, 4)) == {14}
    assert bill.spent == pytest.approx(4, abs=0.3)


def test_when_the_budget_is_spent_the_forecast_adds_nothing_and_says_until_when():
    bill = Bill(budget(6.0))
    assert bill.run(16, 1) == [16] * 60
    bill.tick(16)
    found = bill.tick(16)
    assert (found.replicas, found.by) == (10, BY_BUDGET)
    assert "6.0 of 6 extra pod-hours of 24 h are spent" in found.message
    assert found.until is not None
    assert bill.now + 22.5 * HOUR < found.until < bill.now + DAY


def test_the_time_at_which_it_frees_up_is_when_it_does():
    bill = Bill(budget(6.0))
    bill.run(16, 1.1)
    until = bill.tick(16).until
    while bill.tick(16).by is not None:
        assert bill.now < NOW + 2 * DAY
    assert bill.now - 60 == pytest.approx(until, abs=120)


@pytest.mark.slow
def test_an_allowance_of_minutes_does_not_make_replicas_flap():
    bill = Bill(budget(6.0))
    replicas = bill.run(16, 48)
    changes = sum(a != b for a, b in pairwise(replicas))
    assert changes <= 8


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.floats(0.5, 50))
def test_the_forecast_adds_only_while_the_last_day_is_within_the_budget(proposals, pod_hours):
    bill = Bill(budget(pod_hours))
    for proposed in proposals:
        for _ in range(3):
            before = bill.spent
            found = bill.tick(proposed, seconds=2_400.0)
            assert found.replicas <= max(bill.hpa, proposed)
            if found.replicas > bill.hpa:
                assert before < pod_hours


def test_time_in_which_nobody_looked_counts_for_ten_minutes():
    bill = Bill(CostPolicy())
    bill.tick(16, seconds=5 * HOUR)
    bill.tick(16)
    assert bill.spent == pytest.approx(1.0)


def test_a_clock_that_is_set_back_costs_nothing():
    bill = Bill(CostPolicy())
    bill.run(16, 1)
    before = bill.spent
    bill.now -= 2 * HOUR
    bill.tick(16)
    assert bill.spent <= before


def test_it_survives_a_restart():
    bill = Bill(budget(20.0))
    bill.run(16, 3)
    again = Spending.from_figures(bill.spending.figures(), bill.now, exhausted=True)
    assert again.exhausted
    assert again.spent(bill.now) == pytest.approx(bill.spent, abs=0.05)
    assert len(bill.spending.figures()) <= 26


def test_what_is_kept_is_a_day_by_the_hour():
    bill = Bill(CostPolicy())
    bill.run(16, 60)
    assert len(bill.spending.hours) == 25
    assert bill.spent == pytest.approx(144, rel=0.02)


@pytest.mark.parametrize(
    "figures",
    [[], [None], ["soon", "1"], ["497222", "nan"], [str(10**9), "1.0"], [{}, []], ["1e999", "1"]],
)
def test_figures_that_cannot_be_read_are_no_spending(figures):
    assert Spending.from_figures(figures, NOW).spent(NOW) == 0
