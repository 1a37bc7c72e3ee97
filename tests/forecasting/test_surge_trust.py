"""The derivative's record: surges that came true, and false alarms."""

import pytest

from foretide.forecasting.surge import Surge
from foretide.forecasting.surge_trust import SurgeMeter

NOW = 1_790_000_000.0
DAY = 86_400.0
SURGE = Surge(slope=1.0, predicted=200.0, confidence=0.9)


@pytest.fixture
def meter():
    return SurgeMeter()


@pytest.fixture
def live(meter):
    """A surge at a time, and what demand was a while later; returns whether it might act."""

    def run(at, later, *, after=60.0):
        acts = meter.see(SURGE, 100.0, enough=143.0, lead_time=180.0, now=at)
        meter.see(None, later, enough=later / 0.7, lead_time=180.0, now=at + after)
        meter.see(None, 100.0, enough=143.0, lead_time=180.0, now=at + 400.0)
        return acts is SURGE

    return run


def test_a_surge_acts_until_three_have_come_to_nothing(live):
    assert [live(NOW + 1000 * i, 120.0) for i in range(5)] == [True, True, True, False, False]


def test_surges_that_come_true_keep_it_acting(live):
    assert all(live(NOW + 1000 * i, 150.0 if i % 2 else 120.0) for i in range(30))


def test_what_comes_after_two_lead_times_is_too_late_to_count(live, meter):
    live(NOW, 150.0, after=380.0)
    assert (meter.came, meter.false) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.01))


def test_old_alarms_are_forgotten(live):
    for i in range(4):
        live(NOW + 1000 * i, 120.0)
    assert not live(NOW + DAY, 120.0)
    assert live(NOW + 15 * DAY, 120.0)


def test_while_a_surge_goes_on_it_is_one(meter):
    for tick in range(12):
        meter.see(SURGE, 100.0, enough=143.0, lead_time=180.0, now=NOW + 15.0 * tick)
    assert (meter.came, meter.false) == (0.0, 0.0)


def test_a_clock_that_is_set_back_ends_what_was_followed(meter):
    meter.see(SURGE, 100.0, enough=143.0, lead_time=180.0, now=NOW)
    meter.see(None, 150.0, enough=214.0, lead_time=180.0, now=NOW - 3600.0)
    assert (meter.came, meter.false, meter.until) == (0.0, 0.0, None)
