"""The SLO gate: small steps down, and back."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.slo import Direction, SloGate, SloPhase, SloPolicy, SloState

NOW = 1_790_000_000.0
LATENCY = SloPolicy(objective=0.3, share=0.1, window=300.0)


class Workload:
    """Replicas that follow the gate, asked every 15 seconds."""

    def __init__(self, replicas=20, *, policy=LATENCY, hpa=None):
        self.replicas, self.hpa, self.now = replicas, hpa, NOW
        self.gate, self.state = SloGate(policy), SloState()

    def tick(self, value, proposed, *, seconds=15.0):
        """One step of the gate, followed."""
        found = self.gate.step(value, proposed, self.replicas, self.now, self.state, hpa=self.hpa)
        self.replicas, self.state = found.allowed, found.state
        self.now += seconds
        return found

    def run(self, value, proposed, minutes):
        """The phases over so many minutes."""
        return [self.tick(value, proposed).phase for _ in range(round(minutes * 4))]


def test_scaling_in_goes_by_a_step_for_each_window():
    work = Workload(20)
    assert work.tick(0.1, 10).phase is SloPhase.STEPPED
    assert work.replicas == 18
    assert set(work.run(0.1, 10, 4.5)) == {SloPhase.OBSERVING}
    assert work.replicas == 18
    work.run(0.1, 10, 1)
    assert work.replicas == 17
    work.run(0.1, 10, 60)
    assert work.replicas == 10


def test_a_step_is_one_replica_at_least():
    work = Workload(3)
    assert work.tick(0.1, 1).allowed == 2


def test_scaling_out_is_never_gated():
    work = Workload(20)
    assert (work.tick(None, 40).allowed, work.tick(9.0, 45).allowed) == (40, 45)


def test_down_to_hpas_answer_replicas_fall_freely():
    work = Workload(50, hpa=20)
    assert work.tick(9.0, 20).allowed == 20
    work = Workload(50, hpa=20)
    assert work.tick(0.1, 14).allowed == 18
    work = Workload(50, hpa=20)
    assert work.tick(None, 14).allowed == 20


def test_without_a_reading_the_forecast_takes_nothing_away():
    work = Workload(20)
    assert set(work.run(None, 10, 30)) == {SloPhase.UNKNOWN}
    assert work.replicas == 20


def test_an_slo_that_is_missed_stops_scaling_in():
    work = Workload(20)
    assert set(work.run(0.5, 10, 30)) == {SloPhase.WORSE}
    assert work.replicas == 20


def test_a_step_after_which_the_slo_is_missed_is_taken_back():
    work = Workload(20)
    work.tick(0.1, 10)
    phases = work.run(0.5, 10, 2)
    assert phases[0] is SloPhase.WORSE
    assert SloPhase.TAKEN_BACK in phases
    assert work.replicas == 20
    assert set(work.run(0.1, 10, 20)) == {SloPhase.PAUSED}
    work.run(0.1, 10, 15)
    assert work.replicas < 20


def test_a_step_that_cost_half_of_the_distance_to_the_objective_is_taken_back():
    work = Workload(20)
    work.tick(0.1, 10)
    work.run(0.19, 10, 2)
    assert work.replicas == 18
    work.run(0.21, 10, 2)
    assert work.replicas == 20


def test_one_bad_reading_is_a_blip_but_stops_the_next_step():
    work = Workload(20)
    work.tick(0.1, 10)
    work.run(0.1, 10, 5)
    assert work.replicas == 17
    work = Workload(20)
    work.tick(0.1, 10, seconds=301)
    assert work.tick(0.29, 10).phase is SloPhase.WORSE
    assert work.tick(0.1, 10).phase is SloPhase.STEPPED


def test_if_it_is_no_better_the_step_before_goes_as_well():
    work = Workload(20)
    work.tick(0.1, 10)
    work.run(0.1, 10, 5.5)
    assert work.replicas == 17
    work.run(0.5, 10, 2)
    assert work.replicas == 18
    work.run(0.5, 10, 6)
    assert work.replicas == 20


def test_long_after_a_step_an_incident_is_not_its_doing():
    work = Workload(20)
    work.tick(0.1, 18)
    work.run(0.1, 18, 16)
    work.run(0.5, 18, 10)
    assert work.replicas == 18


def test_each_further_time_the_pause_is_twice_as_long_up_to_an_end():
    work, pauses = Workload(20), []
    for _ in range(5):
        work.tick(0.1, 10)
        work.run(0.5, 10, 2)
        pauses.append(work.state.pause / 60)
        work.now = work.state.paused_until + 1
    assert pauses == [30, 60, 120, 120, 120]


def test_a_step_that_lasts_ends_the_doubling():
    work = Workload(20)
    work.tick(0.1, 10)
    work.run(0.5, 10, 2)
    work.now = work.state.paused_until + 1
    work.tick(0.1, 18)
    work.run(0.1, 18, 16)
    assert work.replicas == 18
    assert work.state.pause == 0


def test_no_more_is_taken_back_than_hpa_would_have():
    work = Workload(20, hpa=20)
    work.tick(0.1, 10)
    work.hpa = 19
    work.run(0.5, 10, 2)
    assert work.replicas == 19


def test_a_step_that_was_never_made_is_not_observed():
    work = Workload(20)
    work.tick(0.1, 10)
    work.replicas = 20
    assert work.tick(0.1, 10).phase is SloPhase.STEPPED


def test_replicas_that_came_back_by_themselves_are_not_taken_back():
    work = Workload(20)
    work.tick(0.1, 10)
    work.tick(0.1, 25)
    work.run(0.5, 25, 5)
    assert work.replicas == 25
    assert not work.state.steps


def test_a_good_value_may_be_a_high_one():
    policy = SloPolicy(objective=0.99, direction=Direction.ABOVE)
    assert policy.good(0.995)
    assert policy.worse(0.993, 1.0)
    assert not policy.worse(0.996, 1.0)
    work = Workload(20, policy=policy)
    assert work.tick(0.98, 10).phase is SloPhase.WORSE
    assert work.tick(0.999, 10).phase is SloPhase.STEPPED


def test_a_clock_that_is_set_back_does_not_pause_for_longer():
    work = Workload(20)
    work.state = replace(work.state, paused_until=NOW + 1e9, pause=1_800.0)
    work.run(0.1, 10, 120.5)
    assert work.replicas < 20


def test_the_messages_tell_people_what_is_going_on():
    work = Workload(20)
    assert work.tick(0.1, 10).message == "from 20 to 18 of 10, then the SLO is observed"
    assert "objective: below 0.3" in work.tick(0.5, 10).message
    work.now += 60
    taken = work.tick(0.5, 10).message
    assert taken.startswith("the SLO went from 0.1 to 0.5")
    assert "20 → 18 replicas: taken back, and none fewer for 30 min" in taken


readings = st.none() | st.floats(0, 1)


@given(
    st.lists(st.tuples(readings, st.integers(1, 60), st.integers(1, 60)), max_size=60),
    st.integers(1, 60),
)
def test_never_less_than_the_proposal_never_more_than_a_step_below_hpa(ticks, replicas):
    work = Workload(replicas)
    for value, proposed, hpa in ticks:
        before, work.hpa = work.replicas, hpa
        free = min(before, hpa)
        found = work.tick(value, proposed, seconds=30)
        assert found.allowed >= proposed
        assert found.allowed >= min(free, max(proposed, free - max(1, math.floor(free * 0.1))))
        assert found.allowed <= max(before, proposed, hpa)
        assert len(found.state.steps) <= 4
