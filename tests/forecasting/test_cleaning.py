"""Bad history goes, and nothing else: patterns, events, trends and clock changes stay.

Left out: what the thresholds are exactly. Each case is far on one side of them.
"""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.forecasting.cleaning import Kind, clean
from foretide.forecasting.events.model import Event, EventCalendar
from foretide.forecasting.events.model import Kind as EventKind
from foretide.forecasting.series import Series

HOUR, DAY, STEP = 3600.0, 86_400.0, 300.0
MONDAY = datetime(2026, 3, 2, tzinfo=UTC).timestamp()


def weeks(days=14, *, start=MONDAY, seed=1, shape=None):
    """Noisy days that peak at noon between 20 and 180, in steps of five minutes."""
    times = start + STEP * np.arange(round(days * DAY / STEP))
    daily = 100 - 80 * np.cos(2 * np.pi * times / DAY) if shape is None else shape(times)
    noise = np.random.default_rng(seed).normal(1, 0.05, len(times))
    return Series(start, STEP, daily * noise)


def changed(history, start, hours, change):
    """The history with some hours changed, `start` in days from its beginning."""
    first = round(start * DAY / STEP)
    part = slice(first, first + round(hours * HOUR / STEP))
    values = history.values.copy()
    values[part] = change(values[part])
    return Series(history.start, history.step, values), part


def removed(history, **options):
    """Which steps were known before, and are not after."""
    cleaned = clean(history, **options)
    return np.isfinite(history.values) & ~np.isfinite(cleaned.series.values)


def kinds(history, **options):
    return [one.kind for one in clean(history, **options).excluded]


def test_clean_history_is_left_as_it_is():
    assert not removed(weeks()).any()
    assert kinds(weeks()) == []


@pytest.mark.parametrize(
    ("hours", "change", "kind"),
    [
        (2, lambda part: part * 0, Kind.OUTAGE),
        (4, lambda part: part * 0.03, Kind.OUTAGE),
        (9, lambda part: part * 0 + part[0], Kind.STUCK),
        (3, lambda part: part * 6, Kind.INCIDENT),
        (0.5, lambda part: part * 6, Kind.INCIDENT),
    ],
    ids=["zero", "collapsed", "stuck", "flood", "short flood"],
)
def test_what_went_wrong_once_is_taken_out(hours, change, kind):
    history, part = changed(weeks(), 9.4, hours, change)
    gone = removed(history)
    assert gone[part].mean() > 0.9
    assert gone.sum() <= 1.2 * (part.stop - part.start)
    assert kinds(history) == [kind]


def test_what_was_taken_out_is_told_with_its_time():
    history, _ = changed(weeks(), 9.5, 2, lambda part: part * 0)
    (outage,) = clean(history).excluded
    assert outage.start == pytest.approx(MONDAY + 9.5 * DAY, abs=2 * STEP)
    assert outage.end == pytest.approx(MONDAY + 9.5 * DAY + 2 * HOUR, abs=2 * STEP)


def test_an_outage_broken_by_a_few_good_minutes_is_one_outage():
    history, part = changed(weeks(), 9.4, 3, lambda part: part * 0)
    history.values[part.start + 10] = 150.0
    assert kinds(history) == [Kind.OUTAGE]


def test_gaps_are_told_from_an_hour_on():
    history, _ = changed(weeks(), 5, 3, lambda part: part * np.nan)
    history.values[100:105] = np.nan
    assert kinds(history) == [Kind.MISSING]


def test_a_shop_closed_on_sundays_keeps_its_zeros():
    def shop(times):
        return np.where((times - MONDAY) // DAY % 7 == 6, 0.0, 100 - 80 * np.cos(times * 2e-6))

    assert not removed(weeks(15, shape=shop)).any()
    assert not removed(weeks(8, shape=shop)).any()


def test_nights_without_demand_stay():
    def office(times):
        return np.where((times % DAY > 8 * HOUR) & (times % DAY < 18 * HOUR), 100.0, 0.0)

    assert not removed(weeks(shape=office)).any()


def test_a_job_that_runs_every_night_stays():
    def nightly(times):
        return np.where(abs(times % DAY - 3 * HOUR) < HOUR / 2, 900.0, 50.0)

    assert not removed(weeks(shape=nightly)).any()


def test_a_weekly_newsletter_stays():
    def newsletter(times):
        tuesday = (times - MONDAY) % (7 * DAY) - DAY - 10 * HOUR
        return np.where((tuesday >= 0) & (tuesday < HOUR), 900.0, 50.0)

    assert not removed(weeks(22, shape=newsletter)).any()


def test_bursts_that_come_again_and_again_are_the_workloads_own_way():
    history = weeks()
    for day in (3.3, 6.8, 8.1, 11.6):
        history, _ = changed(history, day, 1, lambda part: part * 6)
    assert not removed(history).any()


def test_a_single_high_sample_is_noise_and_stays():
    history, _ = changed(weeks(), 9.4, STEP / HOUR, lambda part: part * 6)
    assert not removed(history).any()


def test_growth_is_no_incident():
    history = weeks()
    grown = Series(history.start, STEP, history.values * np.linspace(1, 8, len(history)))
    assert not removed(grown).any()


def test_a_surge_that_still_goes_on_may_be_the_new_rule():
    history, _ = changed(weeks(), 14 - 2 / 24, 2, lambda part: part * 6)
    assert not removed(history).any()


def test_a_service_that_was_switched_off_days_ago_is_off():
    history, _ = changed(weeks(), 12, 48, lambda part: part * 0)
    assert not removed(history).any()


def test_an_outage_that_goes_on_is_not_learned():
    history, part = changed(weeks(), 14 - 2 / 24 - 0.4, 9.6, lambda part: part)
    history, part = changed(history, 13.5, 3, lambda part: part * 0)
    history = Series(history.start, STEP, history.values[: part.stop])
    assert removed(history)[part.start :].all()


def test_a_known_event_stays():
    history, part = changed(weeks(), 9.4, 3, lambda part: part * 6)
    start = MONDAY + 9.4 * DAY - STEP
    event = Event("Sale", EventKind.CAMPAIGN, start, start + 3.5 * HOUR, "campaign:sale")
    assert removed(history)[part].any()
    assert not removed(history, calendar=EventCalendar((event,))).any()


@pytest.mark.parametrize("change", [datetime(2026, 3, 29), datetime(2026, 10, 25)])
def test_a_clock_change_is_no_incident(change):
    start = change.replace(tzinfo=UTC).timestamp() - 7 * DAY
    ahead = 3600.0 if change.month == 3 else -3600.0

    def berlin(times):
        local = times + np.where(times >= start + 7 * DAY + HOUR, ahead, 0.0)
        return np.where((local % DAY > 8 * HOUR) & (local % DAY < 18 * HOUR), 100.0, 5.0)

    history = weeks(start=start, shape=berlin)
    assert not removed(history, time_zone="Europe/Berlin").any()


def test_demand_without_any_pattern_is_left_alone():
    walk = np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.05, 14 * 288)))
    assert removed(Series(MONDAY, STEP, walk)).mean() < 0.05


def test_demand_that_never_changes_is_not_stuck():
    assert not removed(Series(MONDAY, STEP, np.full(14 * 288, 7.0))).any()


def test_two_days_are_too_few_to_judge():
    history, _ = changed(weeks(2), 1.4, 3, lambda part: part * 0)
    assert not removed(history).any()


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 13.9), st.floats(0, 48), st.sampled_from([0.0, 0.01, 5.0, 50.0])),
        max_size=8,
    ),
    st.integers(0, 100),
)
def test_no_more_than_the_share_goes_for_any_reason(changes, seed):
    history = weeks(seed=seed)
    for start, hours, factor in changes:
        history, _ = changed(history, start, hours, lambda part, factor=factor: part * factor)
    assert removed(history).mean() <= 0.45
    kept = np.isfinite(clean(history).series.values)
    assert (clean(history).series.values[kept] == history.values[kept]).all()


def test_an_empty_history_is_clean():
    assert clean(Series(0.0, STEP, np.zeros(0))).excluded == ()
