"""Demand history: what is asked of Prometheus, and what becomes of its answers."""

import base64
import itertools
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.demand import Undecided
from foretide.forecasting.history import fetch_peaks, fetch_samples, split_range, to_series
from foretide.forecasting.prometheus import PrometheusSource
from foretide.forecasting.series import Series

START = 1_699_999_200.0  # a multiple of 10 minutes
STEP = 600.0
SECRET = "s3cr3t-t0ken"


def part(*samples, **labels):
    return {"metric": labels, "values": [[at, value] for at, value in samples]}


def seconds(series):
    return [int(at) for at in series.times[np.isfinite(series.values)]]


@pytest.fixture
def fetch(prometheus):
    """Fetches an hour of peaks in steps of 10 minutes."""

    def run(url=prometheus.url, end=START + 3600, query="sum(x)", by=fetch_peaks, **source):
        return by(PrometheusSource(url, **source), query, start=START, end=end, step=STEP)

    return run


# Ranges


@given(st.floats(1e9, 2e9), st.floats(0, 3e7), st.sampled_from([15.0, 60.0, 97.0, 600.0, 3600.0]))
def test_every_point_of_a_range_is_asked_for_exactly_once(start, length, step):
    end = start + length
    ranges = split_range(start, end, step)
    sizes = [round((last - first) / step) + 1 for first, last in ranges]
    assert all(1 <= size <= 11_000 for size in sizes)
    for (_, last), (first, _) in itertools.pairwise(ranges):
        assert first == pytest.approx(last + step)
    assert sum(sizes) == max(0, math.floor(end / step) - math.ceil(start / step) + 1)
    assert all(start <= first and last <= end for first, last in ranges)
    assert all(bound % step == 0 for bounds in ranges for bound in bounds)


def test_a_range_between_two_points_asks_for_nothing():
    assert split_range(61.0, 119.0, 60.0) == []


def test_a_range_that_ends_before_it_starts_asks_for_nothing():
    assert split_range(600.0, 0.0, 60.0) == []


@pytest.mark.parametrize("step", [0.0, -1.0])
def test_a_step_that_leads_nowhere_is_an_error(step):
    with pytest.raises(ValueError, match="positive"):
        split_range(0.0, 60.0, step)


# Series


def test_parts_are_joined_in_the_order_of_time():
    series = to_series([part((120, "3")), part((0, "1"), (60, "2"))], 60.0)
    assert seconds(series) == [0, 60, 120]
    assert list(series.values) == [1.0, 2.0, 3.0]


def test_gaps_stay_gaps():
    assert seconds(to_series([part((0, "1"), (60, "2"), (600, "3"))], 60.0)) == [0, 60, 600]


def test_what_is_no_demand_goes_out():
    samples = [(0, "NaN"), (60, "+Inf"), (120, "-Inf"), (180, "-1"), (240, "0"), (300, "4")]
    series = to_series([part(*samples)], 60.0)
    assert seconds(series) == [240, 300]
    assert list(series.values) == [0.0, 4.0]


def test_times_are_shifted():
    assert seconds(to_series([part((600, "1"), (1200, "2"))], 600.0, shift=-600)) == [0, 600]


def test_what_nobody_asked_for_goes_out():
    """A time of the year 300000 would make a grid that no memory holds."""
    series = to_series([part((0, "1"), (60, "2"), (1e13, "3"))], 60.0, start=0, end=120)
    assert seconds(series) == [0, 60]


@pytest.mark.parametrize("parts", [[], [part()], [part((0, "NaN"))]])
def test_no_demand_is_no_history(parts):
    assert to_series(parts, 60.0).reason == "HistoryEmpty"


def test_parts_of_different_series_are_refused():
    answer = to_series([part((0, "1"), pod="a"), part((0, "2"), pod="b")], 60.0)
    assert answer.reason == "SeveralSeries"


def test_parts_of_one_series_with_labels_are_joined():
    series = to_series([part((0, "1"), pod="a"), part((60, "2"), pod="a")], 60.0)
    assert list(series.values) == [1.0, 2.0]


@pytest.mark.parametrize(
    "odd",
    [
        {"metric": {}, "values": [[0, "many"]]},
        {"metric": {}, "value": [0, "1"]},
        {"metric": {}},
        {"metric": {}, "values": None},
        {"metric": {}, "values": [[]]},
        {"metric": {}, "histograms": [[0, {}]]},
        7,
    ],
)
def test_a_part_that_is_no_series_is_invalid(odd):
    answer = to_series([odd], 60.0)
    assert isinstance(answer, Undecided)
    assert answer.reason == "HistoryInvalid"


# Prometheus


def spike(at):
    """Idle but for one quarter of a minute in the third step."""
    return 50.0 if START + 1290 <= at < START + 1305 else 1.0


def test_prometheus_itself_is_asked_for_the_peaks(fetch, prometheus):
    peaks = fetch(query="sum(x) # a comment")
    (asked,) = prometheus.asked
    assert asked["path"] == "/api/v1/query_range"
    assert asked["query"] == "max_over_time((\nsum(x) # a comment\n)[600s:30s])"
    assert asked["step"] == "600"
    assert isinstance(peaks, Series)


@pytest.mark.parametrize("peaks", [True, False])
def test_a_peak_stands_at_the_beginning_of_its_step(fetch, prometheus, peaks):
    prometheus.peaks = peaks
    prometheus.demand = lambda at: 50.0 if START + 1200 < at < START + 1800 else 1.0
    series = fetch()
    assert seconds(series)[:6] == [START + STEP * k for k in range(6)]
    assert list(series.values)[:6] == [1.0, 1.0, 50.0, 1.0, 1.0, 1.0]


def test_a_peak_between_two_steps_is_seen(fetch, prometheus):
    prometheus.demand = spike
    assert list(fetch().values) == [1.0, 1.0, 50.0, 1.0, 1.0, 1.0]


def test_where_peaks_are_refused_demand_is_sampled(fetch, prometheus):
    prometheus.peaks = False
    assert set(fetch().values) == {1.0}
    first, second = prometheus.asked
    assert first["query"].startswith("max_over_time(")
    assert second["query"] == "sum(x)"
    assert second["step"] == "120"


def test_steps_without_a_sample_are_left_out(fetch, prometheus):
    prometheus.peaks = False
    prometheus.demand = lambda at: None if START + 600 <= at < START + 1800 else 1.0
    assert seconds(fetch())[:3] == [START, START + 1800, START + 2400]


@pytest.mark.slow
def test_a_long_history_comes_in_several_queries(fetch, prometheus):
    peaks = fetch(end=START + 10_500 * STEP)
    assert len(prometheus.asked) == 2
    assert len(peaks) == 10_500
    assert peaks.known == 10_500


def test_several_series_are_refused(fetch, prometheus):
    prometheus.metrics = [{"pod": "a"}, {"pod": "b"}]
    assert fetch().reason == "SeveralSeries"


@pytest.mark.parametrize("peaks", [True, False])
def test_a_query_without_history_is_empty(fetch, prometheus, peaks):
    prometheus.peaks = peaks
    prometheus.demand = lambda at: None
    assert fetch().reason == "HistoryEmpty"


def test_a_token_is_sent_and_read_anew(fetch, prometheus, tmp_path):
    path = tmp_path / "token"
    for token in (SECRET, "rotated"):
        path.write_text(token + "\n", encoding="utf-8")
        fetch(bearer_token_file=path)
    sent = [headers["Authorization"] for headers in prometheus.headers]
    assert sent == [f"Bearer {SECRET}", "Bearer rotated"]


def test_user_and_password_are_sent(fetch, prometheus, tmp_path):
    path = tmp_path / "password"
    path.write_text(SECRET, encoding="utf-8")
    fetch(username="reader", password_file=path)
    sent = prometheus.headers[0]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == f"reader:{SECRET}"


def test_extra_parameters_and_headers_are_sent(fetch, prometheus):
    fetch(params={"dedup": "true"}, headers={"X-Scope-OrgID": "team"})
    assert prometheus.asked[0]["dedup"] == "true"
    assert prometheus.headers[0]["X-Scope-OrgID"] == "team"


@pytest.mark.parametrize("kind", ["bearer_token_file", "password_file", "ca_file"])
def test_a_missing_file_is_no_exception_and_named(fetch, tmp_path, kind):
    path = tmp_path / "gone"
    for ask in (fetch, partial(fetch, by=fetch_samples)):
        answer = ask(username="reader", **{kind: path})
        assert answer.reason == "CredentialsMissing"
        assert answer.message == f"cannot read {path}: No such file or directory"


@pytest.mark.parametrize("content", [b"\xff\xfe", "s3cr3t…".encode(), b"s3cr3t\nt0ken"])
@pytest.mark.parametrize("kind", ["token", "password"])
def test_a_secret_that_cannot_be_sent_is_never_shown(fetch, tmp_path, content, kind):
    path = tmp_path / "credentials"
    path.write_bytes(content)
    source = {"bearer_token_file": path}
    if kind == "password":
        source = {"username": "reader", "password_file": path}
    answer = fetch(**source)
    assert not isinstance(answer, Undecided) or "3cr3t" not in answer.message


def test_a_server_that_is_down_is_no_exception_and_shows_no_secret(fetch, nobody, tmp_path):
    path = tmp_path / "token"
    path.write_text(SECRET, encoding="utf-8")
    answer = fetch(url=nobody, bearer_token_file=path)
    assert answer.reason == "HistoryUnavailable"
    assert SECRET not in answer.message


def test_a_refusal_is_told_in_prometheus_own_words(fetch, prometheus):
    said = 'invalid parameter "query": 1:5: parse error: unclosed left parenthesis'
    prometheus.answer = (400, {"status": "error", "errorType": "bad_data", "error": said})
    assert fetch().message == f"history query failed: {said}"
    prometheus.answer = (422, {"error": f"reading http://user:{SECRET}@far/api: timeout"})
    assert fetch().message == "history query failed: reading http://far/api: timeout"
    for status in (401, 403):
        prometheus.answer = (status, {"status": "error", "error": f"no such token: {SECRET}"})
        for by in (fetch_peaks, fetch_samples):
            said = fetch(by=by).message
            assert said == "history query failed: Prometheus refuses the source's credentials"
    prometheus.answer = (404, b"")
    assert fetch().message == "history query failed: HTTP status 404"


@pytest.mark.parametrize(
    "answer",
    [
        (400, {"errorType": "bad_data", "error": "parse error"}),
        (401, b"who are you"),
        (404, b""),
        (200, b"<html>Log in</html>"),
        (200, b""),
        (200, []),
        (200, 7),
        (200, {"status": "success"}),
        (200, {"data": None}),
        (200, {"data": {"result": None}}),
        (200, {"data": {"result": [7]}}),
        (200, {"data": {"result": [{"metric": {}, "values": [[0, "many"]]}]}}),
    ],
)
def test_an_answer_that_is_no_history_is_no_exception(fetch, prometheus, answer):
    prometheus.answer = answer
    undecided = fetch()
    assert isinstance(undecided, Undecided)
    assert undecided.reason in ("HistoryUnavailable", "HistoryInvalid")
    assert undecided.message
