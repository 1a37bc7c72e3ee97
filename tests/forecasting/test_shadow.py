"""Shadow mode: what would have been, against what happened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.shadow import Shadow, Tick

NOW = 1_790_000_000.0 - 1_790_000_000.0 % 3_600
HOUR = 3_600.0


class Watcher:
    """A workload that is looked at every 15 seconds, with a lead time of 3 minutes."""

    def __init__(self, *, lead_time=180.0):
        self.now, self.lead_time, self.shadow = NOW, lead_time, Shadow()

    def see(self, recommended, *, asked=10, ready=None, needed=5, minutes=1.0, every=15.0):
        """So many minutes with the same figures."""
        for _ in range(round(minutes * 60 / every)):
            tick = Tick(
                self.now,
                recommended,
                asked,
                asked if ready is None else ready,
                needed,
                self.lead_time,
            )
            self.shadow = self.shadow.after(tick)
            self.now += every
        return self

    @property
    def found(self):
        return self.shadow.compare(self.now)


def test_pod_minutes_are_those_that_are_asked_for():
    found = Watcher().see(6, asked=10, minutes=60.25).found
    assert found.seen_minutes == pytest.approx(60)
    assert found.would_pod_minutes == pytest.approx(360)
    assert found.did_pod_minutes == pytest.approx(600)
    assert found.cost_ratio == pytest.approx(0.6)


def test_a_recommended_replica_is_ready_after_the_lead_time_and_costs_at_once():
    watch = Watcher().see(4, asked=10, needed=4, minutes=10)
    before = watch.found
    watch.see(8, asked=10, needed=8, minutes=10)
    found = watch.found
    assert found.would_lack_minutes == pytest.approx(3.0, abs=0.26)
    assert found.did_lack_minutes == 0
    spent = found.would_pod_minutes - before.would_pod_minutes
    assert spent == pytest.approx(80, abs=2)


def test_what_was_recommended_ahead_of_demand_is_ready_for_it():
    watch = Watcher().see(4, needed=4, minutes=10)
    watch.see(8, needed=4, minutes=3.25).see(8, needed=8, minutes=10)
    assert watch.found.would_lack_minutes == 0


def test_a_dip_of_the_recommendation_takes_its_replicas_away():
    watch = Watcher().see(8, asked=8, needed=8, minutes=10)
    watch.see(4, asked=8, needed=4, minutes=1).see(8, asked=8, needed=8, minutes=10)
    assert watch.found.would_lack_minutes == pytest.approx(3.0, abs=0.26)


def test_replicas_that_stay_through_a_dip_stay_ready():
    watch = Watcher().see(8, asked=8, needed=6, minutes=10)
    watch.see(6, needed=6, minutes=1).see(9, needed=6, minutes=10)
    assert watch.found.would_lack_minutes == 0


def test_steps_that_overlap_are_ready_one_after_the_other():
    watch = Watcher().see(4, asked=4, needed=4, minutes=10)
    watch.see(6, needed=4, minutes=2).see(8, needed=4, minutes=1.25)
    assert watch.shadow.would_be_ready == 6
    watch.see(8, needed=4, minutes=2)
    assert watch.shadow.would_be_ready == 8


def test_what_happened_lacks_replicas_that_are_not_ready_whatever_is_asked_for():
    watch = Watcher().see(6, asked=10, ready=4, needed=5, minutes=10.25)
    assert watch.found.did_lack_minutes == pytest.approx(10)


def test_it_starts_with_the_replicas_that_are_ready():
    watch = Watcher().see(9, asked=5, ready=5, needed=5, minutes=0.25)
    assert watch.shadow.would_be_ready == 5


def test_while_demand_is_unknown_nothing_lacks():
    found = Watcher().see(1, ready=1, needed=None, minutes=10).found
    assert (found.would_lack_minutes, found.did_lack_minutes) == (0, 0)
    assert found.would_pod_minutes > 0


def test_time_in_which_nobody_looked_is_left_out():
    watch = Watcher().see(6, minutes=5)
    watch.now += 5 * HOUR
    watch.see(6, minutes=5)
    assert watch.found.seen_minutes == pytest.approx(4.75 + 2 + 4.75, abs=0.3)


def test_a_clock_that_is_set_back_counts_nothing_twice():
    watch = Watcher().see(6, minutes=30)
    before = watch.found.seen_minutes
    watch.now -= 600
    watch.see(6, minutes=10)
    assert watch.found.seen_minutes <= before + 11


def test_seven_days_are_kept_by_the_hour_and_no_more():
    watch = Watcher().see(6, minutes=9 * 24 * 60, every=120.0)
    assert len(watch.shadow.hours) == 168
    assert watch.found.seen_minutes == pytest.approx(7 * 24 * 60, abs=61)
    assert len(watch.shadow.figures()) <= 50
    assert sum(map(len, watch.shadow.figures())) < 2_000


def test_it_survives_a_restart():
    watch = Watcher().see(6, minutes=3 * 24 * 60, every=120.0)
    watch.see(9, ready=3, minutes=90)
    before = watch.found
    watch.shadow = Shadow.from_figures(watch.shadow.figures())
    assert watch.found.seen_minutes == pytest.approx(before.seen_minutes, abs=3)
    assert watch.found.would_pod_minutes == pytest.approx(before.would_pod_minutes, rel=0.001)
    assert watch.found.did_lack_minutes == pytest.approx(before.did_lack_minutes, abs=3)
    watch.see(6, minutes=5)
    assert watch.found.seen_minutes > before.seen_minutes
    assert watch.shadow.figures() == Shadow.from_figures(watch.shadow.figures()).figures()


@pytest.mark.parametrize(
    "line", [None, 7, "", "497222 1 2 3", "soon 1 2 3 4 5", "497222 1 2 nan 4 5", "1 2 3 4 5 -6"]
)
def test_a_line_that_cannot_be_read_loses_no_other(line):
    good = "497222 60.0 360 600 0.0 3.0"
    assert Shadow.from_figures([line, good]).figures() == [good]


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 30), st.none() | st.integers(0, 30)),
        max_size=80,
    ),
    st.floats(0, 900),
)
def test_recommended_replicas_are_ready_when_asked_for_throughout_the_lead_time(ticks, lead_time):
    watch = Watcher(lead_time=lead_time)
    asked = []
    for i, (recommended, ready, needed) in enumerate(ticks):
        at = watch.now
        watch.see(recommended, asked=ready, needed=needed, minutes=0.25)
        start = [] if i else [(float("-inf"), min(ready, recommended))]
        asked = [*asked, *start, (at, recommended)]
        # The lowest count of the last lead time, with the one that was in force when it began.
        began = max(j for j, (since, _) in enumerate(asked) if since <= at - lead_time)
        assert watch.shadow.would_be_ready == min(count for _, count in asked[began:])
    found = watch.found
    assert 0 <= found.would_lack_minutes <= found.seen_minutes + 1e-9
    assert 0 <= found.did_lack_minutes <= found.seen_minutes + 1e-9


def test_the_sentence_is_for_people():
    watch = Watcher().see(6, minutes=3 * 24 * 60, every=60.0)
    watch.see(6, asked=10, ready=3, needed=5, minutes=33)
    assert watch.found.sentence() == (
        "over 3.0 days Foretide would have used 435 pod-hours instead of 725 (-40%), "
        "with too few replicas for 0 min instead of 33 min"
    )
    assert Shadow().compare(NOW).sentence() == "nothing has been compared yet"
