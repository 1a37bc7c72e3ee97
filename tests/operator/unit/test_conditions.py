import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.operator import conditions
from foretide.operator.conditions import Condition, merge, parse_timestamp, timestamp

NOON = 1_790_000_000.0
LATER = NOON + 90


def once(*found, previous=(), generation=1, now=NOON):
    return merge(previous, found, generation=generation, now=now)


def test_a_condition_has_all_that_the_api_conventions_want():
    assert once(Condition("Ready", True, "Scaling", "all is well"), generation=4) == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Scaling",
            "message": "all is well",
            "observedGeneration": 4,
            "lastTransitionTime": timestamp(NOON),
        }
    ]


@pytest.mark.parametrize("holds", [True, False, None])
def test_another_reason_is_no_transition(holds):
    before = once(Condition("Ready", holds, "One"))
    after = once(Condition("Ready", holds, "Two", "anew"), previous=before, generation=2, now=LATER)
    assert after[0]["lastTransitionTime"] == timestamp(NOON)
    assert (after[0]["reason"], after[0]["message"]) == ("Two", "anew")
    assert after[0]["observedGeneration"] == 2


@pytest.mark.parametrize(("old", "new"), [(True, False), (False, None), (None, True)])
def test_another_status_is_a_transition(old, new):
    before = once(Condition("Ready", old, "Same"))
    after = once(Condition("Ready", new, "Same"), previous=before, now=LATER)
    assert after[0]["lastTransitionTime"] == timestamp(LATER)


def test_conditions_that_are_not_found_any_more_go():
    before = once(Condition("Ready", True, "A"), Condition("Conflict", False, "B"))
    after = once(Condition("Ready", True, "A"), previous=before)
    assert [condition["type"] for condition in after] == ["Ready"]


def test_a_long_message_is_cut_to_what_status_should_hold():
    assert len(once(Condition("Ready", False, "Bad", "x" * 5_000))[0]["message"]) == 400


@pytest.mark.parametrize(
    ("kind", "unwelcome"),
    [
        (conditions.READY, False),
        (conditions.METRICS, False),
        (conditions.FORECAST, False),
        (conditions.ACTIVE, False),
        (conditions.LIMITED, True),
        (conditions.CONFLICT, True),
    ],
)
def test_the_unwelcome_answer_is_bad_and_no_other(kind, unwelcome):
    assert Condition(kind, unwelcome, "A").is_bad
    assert not Condition(kind, not unwelcome, "A").is_bad
    assert not Condition(kind, None, "A").is_bad


@given(st.integers(0, 32_503_680_000))
def test_a_time_reads_back_the_same(seconds):
    assert parse_timestamp(timestamp(seconds)) == seconds


def test_times_are_in_utc_and_sort_as_text():
    assert timestamp(0) == "1970-01-01T00:00:00Z"
    assert timestamp(0.9) == "1970-01-01T00:00:00Z"
    assert timestamp(NOON) < timestamp(LATER)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.500000Z", 0.5),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_times_of_others_are_read(text, seconds):
    assert parse_timestamp(text) == seconds


@given(st.text())
def test_what_is_no_time_is_a_value_error(text):
    try:
        parse_timestamp(text)
    except ValueError:
        return
