"""What is a roll-up, and what no correct sender sends."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.store.errors import StoreRefused
from foretide.store.rollups import (
    LARGEST_BATCH,
    Columns,
    Rollup,
    SeriesKey,
    as_kept,
    check,
    fingerprint,
)


@pytest.fixture
def refusal(key, now):
    """Why a roll-up is refused, None when it is not."""

    def check_one(**changes):
        good = Rollup(int(now) - 300, 20, 5.0, 10.0, 7.0)
        try:
            check({key(): Columns.of([good._replace(**changes)])}, now=now)
        except StoreRefused as error:
            return error
        return None

    return check_one


def test_a_good_roll_up_passes(refusal):
    assert refusal() is None
    assert refusal(mean=math.nan, last=math.nan) is None
    assert refusal(mean=0.0, max=0.0, last=0.0) is None


@pytest.mark.parametrize(
    ("reason", "changes", "said"),
    [
        ("BadTime", {"start": 1_790_000_100_000}, "looks like milliseconds"),
        ("BadTime", {"start": 1_790_000_101}, "multiple of 300"),
        ("BadTime", {"start": 300}, "after the year 2000"),
        ("BadTime", {"start": -300}, "after the year 2000"),
        ("InFuture", {"start": 1_790_000_700}, "600 s ahead; are the clocks right?"),
        ("BadValue", {"samples": 0}, "samples is 0"),
        ("BadValue", {"samples": 65_536}, "samples is 65536"),
        ("BadValue", {"max": -1.0}, "max is -1.0"),
        ("BadValue", {"max": math.nan}, "max is nan"),
        ("BadValue", {"max": math.inf}, "max is inf"),
        ("BadValue", {"max": 1e31}, "max is 1e+31"),
        ("BadValue", {"mean": -1.0}, "mean is -1.0"),
        ("BadValue", {"mean": 11.0}, "mean is 11.0; 0 to max (10.0)"),
        ("BadValue", {"last": math.inf}, "last is inf"),
    ],
)
def test_what_no_correct_sender_sends_is_refused_and_named(refusal, reason, changes, said):
    error = refusal(**changes)
    assert error.reason == reason
    assert said in error.message
    assert error.message.startswith("web/shop requests (0123456789abcdef): roll-up 0: ")


def test_a_clock_that_is_a_little_ahead_is_no_error(refusal, now):
    assert refusal(start=int(now) + 300) is None


def test_a_mean_that_exceeds_the_maximum_by_rounding_is_no_error(refusal):
    assert refusal(mean=math.nextafter(10.0, 11.0)) is None


def test_columns_of_different_lengths_are_refused(key, now):
    with pytest.raises(StoreRefused, match="columns differ in length"):
        check({key(): Columns([0, 300], [1], [1.0], [1.0], [1.0])}, now=now)


@pytest.mark.slow
def test_a_batch_has_a_limit(key, columns, now):
    batch = {key(): columns(*[1.0] * (LARGEST_BATCH + 1))}
    with pytest.raises(StoreRefused, match="50001 roll-ups; send 50000 at once at most") as found:
        check(batch, now=now)
    assert found.value.reason == "TooLarge"


@pytest.mark.parametrize("part", ["", "x" * 254, "a\nb", "\0"])
def test_a_key_is_made_of_short_printable_text(columns, now, part):
    for place in range(4):
        parts = ["a"] * 4
        parts[place] = part
        with pytest.raises(StoreRefused, match="1 to 253 printable characters"):
            check({SeriesKey(*parts): columns(1.0)}, now=now)


def test_another_query_or_source_is_another_series():
    assert fingerprint("default", "sum(x)") == fingerprint("default", " sum(x)\n")
    different = {
        fingerprint("default", "sum(x)"),
        fingerprint("default", "sum(y)"),
        fingerprint("other", "sum(x)"),
    }
    assert len(different) == 3
    assert all(len(digits) == 16 for digits in different)


@given(st.floats(min_value=0, max_value=1e30), st.floats(min_value=0, max_value=1e30))
def test_rounding_keeps_six_digits_and_the_order(one, other):
    assert as_kept(as_kept(one)) == as_kept(one)
    assert as_kept(one) == pytest.approx(one, rel=5e-6, abs=1e-30)
    if one <= other:
        assert as_kept(one) <= as_kept(other)


def test_columns_and_rows_are_the_same(columns):
    some = columns(1.0, 2.0, 3.0)
    assert Columns.of(list(some)) == Columns(*map(list, _all(some)))
    assert list(some[1:]) == list(some)[1:]
    assert len(Columns.of([])) == 0


def _all(columns):
    return columns.start, columns.samples, columns.mean, columns.max, columns.last
