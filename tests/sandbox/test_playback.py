"""The arithmetic of playing a trace: values at instants, history, modes, text. No clock."""

import math
from itertools import pairwise

import pytest

from sandbox import DemandSeries, SandboxError
from sandbox.modes import parse_mode
from sandbox.playback import Playback, Sample, exposed, exposition, openmetrics

DAY = 86_400.0
NOW = 1_800_000_000.0


def series(days=3, step=60.0, **changes):
    count = int(days * DAY / step)
    times = [step * k for k in range(count)]
    return DemandSeries(times=times, values=[float(k) for k in range(count)], **changes)


def played(demand, *, speed=1.0, lookback=300.0):
    return Playback(demand, started=NOW, speed=speed, lookback=lookback)


def test_the_start_shows_the_origin():
    playback = played(series(start_at=600.0))
    assert playback.value_at(NOW) == 10
    assert playback.value_at(NOW + 59) == 10
    assert playback.value_at(NOW + 60) == 11


def test_without_an_origin_the_last_day_is_played_live():
    assert series(days=5).origin == 5 * DAY - 60 - DAY
    assert series(days=2).origin == pytest.approx((2 * DAY - 60) * 3 / 4)


def test_speed_is_trace_seconds_per_second():
    assert played(series(start_at=0.0), speed=60.0).value_at(NOW + 10) == 10


def test_beyond_its_end_a_trace_of_days_goes_back_a_day():
    playback = played(series(days=3, start_at=3 * DAY - 60))
    assert playback.value_at(NOW) == 3 * 1440 - 1
    assert playback.value_at(NOW + 120) == 2 * 1440 + 1
    assert playback.value_at(NOW + DAY + 120) == 2 * 1440 + 1


def test_beyond_its_end_a_trace_of_weeks_goes_back_a_week():
    playback = played(series(days=14.5, step=300.0, start_at=14.5 * DAY - 300))
    assert playback.value_at(NOW + 600) == (7.5 * DAY + 300) / 300


def test_beyond_its_end_a_short_trace_holds_its_last_value():
    assert played(series(days=0.5, start_at=0.0)).value_at(NOW + 9 * DAY) == 719


def test_a_hole_in_the_trace_shows_nothing():
    times = [0.0, 60.0, 120.0, 7200.0, 7260.0]
    playback = played(DemandSeries(times=times, values=[1, 2, 3, 4, 5], start_at=0.0))
    assert playback.value_at(NOW + 300) == 3
    assert playback.value_at(NOW + 3600) is None
    assert playback.value_at(NOW + 7200) == 4


def test_history_ends_before_the_start_and_lies_on_the_wall_clock():
    samples = list(played(series(start_at=DAY)).history())
    assert len(samples) == 1440
    assert samples[-1] == Sample(NOW - 60, 1439)
    assert samples[0] == Sample(NOW - DAY, 0)


def test_history_is_compressed_by_the_speed():
    samples = list(played(series(start_at=DAY), speed=10.0).history())
    assert samples[0].at == NOW - DAY / 10


def test_history_of_a_coarse_trace_is_dense_enough_for_the_lookback():
    samples = list(played(series(days=2, step=1800.0, start_at=DAY)).history())
    gaps = [b.at - a.at for a, b in pairwise(samples)]
    assert max(gaps) <= 300
    assert NOW - samples[-1].at <= 300
    assert samples[1].value == samples[0].value


def test_history_keeps_the_holes_of_the_trace():
    times = [0.0, 60.0, 120.0, 7200.0, 7260.0]
    playback = played(DemandSeries(times=times, values=[1, 2, 3, 4, 5], start_at=7300.0))
    assert [sample.value for sample in playback.history()] == [1, 2, 3, 4, 5]


def test_a_gap_before_the_start_can_be_asked_for():
    samples = list(played(series(start_at=DAY, history_gap_seconds=600.0)).history())
    assert samples[-1].at <= NOW - 600


def test_openmetrics_carries_the_scrapes_labels_and_ends():
    text = list(openmetrics([played(series(start_at=120.0, labels={"path": '/"a"\\'}))]))
    assert text[0] == "# TYPE demand_rps gauge\n"
    labels = '{path="/\\"a\\"\\\\",job="demand",instance="player"}'
    assert text[1] == f"demand_rps{labels} 0.0 1799999880.000\n"
    assert text[-1] == "# EOF\n"
    assert len(text) == 4


def test_openmetrics_keeps_series_of_one_name_together():
    same = [series(labels={"n": n}, start_at=60.0) for n in "ab"]
    other = series(name="other", start_at=60.0)
    text = "".join(openmetrics([played(s) for s in (same[0], other, same[1])]))
    assert text.count("# TYPE demand_rps") == 1
    assert text.index('n="b"') < text.index("# TYPE other")


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("play", Sample(NOW, 10.0)),
        ("absent", None),
        ("zero", Sample(NOW, 0.0)),
        ("stale", Sample(NOW - 100, 9.0)),
        (7, Sample(NOW, 7)),
    ],
)
def test_each_mode_shows_its_sample(mode, shown):
    last = Sample(NOW - 100, 9.0)
    assert exposed(played(series(start_at=600.0)), mode, now=NOW, last=last) == shown


def test_nan_is_shown_as_prometheus_writes_it():
    sample = exposed(played(series()), "nan", now=NOW, last=None)
    assert math.isnan(sample.value)
    assert exposition({"m": [({"a": "b"}, sample)]}) == (
        '# TYPE m gauge\nm{a="b"} nan 1800000000000\n'
    )


def test_modes_of_the_command_line_are_words_or_numbers():
    assert parse_mode("stale") == "stale"
    assert parse_mode("12.5") == 12.5
    with pytest.raises(SandboxError, match="is not a mode"):
        parse_mode("wrong")
