"""A forecast answers for the grid it was made on, and for nothing else."""

import math

import pytest


@pytest.fixture
def hill(make_forecast):
    """Four steps of a minute, the highest of them the third."""
    return make_forecast(10.0, 20.0, 40.0, 30.0)


@pytest.mark.parametrize(
    ("start", "end", "covered"),
    [
        (0, 240, True),
        (0, 0, True),
        (60, 120, True),
        (-1, 120, False),
        (0, 241, False),
        (239.9, 240, True),
        (240, 240, False),
        (300, 360, False),
    ],
)
def test_a_forecast_covers_its_grid_to_the_edges(hill, now, start, end, covered):
    assert hill.covers(now + start, now + end) is covered


@pytest.mark.parametrize(
    ("start", "end", "peak"),
    [
        (0, 0, 10.0),
        (0, 59.9, 10.0),
        (0, 60, 20.0),
        (59.9, 60.1, 20.0),
        (60, 179.9, 40.0),
        (180, 240, 30.0),
        (0, 240, 40.0),
    ],
)
def test_the_peak_counts_every_step_that_is_touched(hill, now, start, end, peak):
    assert hill.upper_peak(now + start, now + end) == peak


def test_outside_the_grid_there_is_no_number(hill, now):
    assert math.isnan(hill.upper_peak(now - 120, now - 60))
    assert math.isnan(hill.upper_peak(now + 240, now + 300))
    assert math.isnan(hill.median_at(now - 1))
    assert math.isnan(hill.median_at(now + 240))


def test_a_range_that_begins_before_the_grid_counts_what_lies_on_it(hill, now):
    assert hill.upper_peak(now - 600, now + 61) == 20.0


def test_the_median_is_that_of_the_step_that_holds_the_time(hill, now):
    assert hill.median_at(now) == 5.0
    assert hill.median_at(now + 59.9) == 5.0
    assert hill.median_at(now + 239.9) == 15.0


def test_the_next_peak_is_the_highest_point_still_ahead(hill, now):
    assert hill.next_peak(now) == (now + 120, 40.0)
    assert hill.next_peak(now + 179) == (now + 120, 40.0)
    assert hill.next_peak(now + 180) == (now + 180, 30.0)


def test_the_step_that_holds_now_may_be_the_next_peak(make_forecast, now):
    assert make_forecast(9.0, 2.0, 1.0).next_peak(now + 59) == (now, 9.0)


def test_before_the_grid_all_of_it_is_still_ahead(hill, now):
    assert hill.next_peak(now - 3600) == (now + 120, 40.0)


def test_of_two_equal_peaks_the_earlier_one_is_next(make_forecast, now):
    assert make_forecast(1.0, 9.0, 9.0).next_peak(now) == (now + 60, 9.0)


def test_after_the_grid_there_is_no_next_peak(hill, now):
    assert hill.next_peak(now + 240) is None


def test_a_forecast_of_nothing_answers_nothing(make_forecast, now):
    empty = make_forecast()
    assert math.isnan(empty.upper_peak(now, now))
    assert empty.next_peak(now) is None
    assert not empty.covers(now, now)
