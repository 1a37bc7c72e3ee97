import re
from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from foretide.operator.api.fields import (
    DURATION_PATTERN,
    QUANTITY_PATTERN,
    Duration,
    Quantity,
    format_duration,
    parse_duration,
    parse_quantity,
)

duration = TypeAdapter(Duration)
quantity = TypeAdapter(Quantity)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5_400),
        ("14d", 1_209_600),
        ("1m1d", 86_460),
        ("5m5m", 600),
        ("007s", 7),
    ],
)
def test_a_duration_is_a_sum_of_its_parts(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "m", "5 m", "-5m", "1.5h", "5M", "1w", "5m\n", "\n5m", "１０m", "٣s", "5ms", "P1D"],
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValidationError, match="is not a duration such as 90s"):
        duration.validate_python(text)


@given(st.integers(0, 400 * 86_400))
def test_a_formatted_duration_reads_back_the_same_and_as_the_crd_wants_it(seconds):
    text = format_duration(seconds)
    assert parse_duration(text) == seconds
    assert re.fullmatch(DURATION_PATTERN, text)
    assert len(text) <= 20


def test_numbers_pass_as_seconds():
    assert duration.validate_python(90) == 90.0


@pytest.mark.parametrize("digits", [20, 400, 5_000])
def test_a_duration_longer_than_the_crd_allows_is_refused_in_a_short_message(digits):
    with pytest.raises(ValidationError) as raised:
        duration.validate_python("9" * digits + "d")
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (100, 100.0),
        (0.5, 0.5),
        ("100", 100.0),
        ("0.5", 0.5),
        ("500m", 0.5),
        ("1.5k", 1_500.0),
        ("2M", 2e6),
        ("1G", 1e9),
        ("1T", 1e12),
        ("1Ki", 1_024.0),
        ("1.5Mi", 1_572_864.0),
        ("1Gi", 2.0**30),
        ("1Ti", 2.0**40),
    ],
)
def test_quantities_are_kubernetes_own(text, number):
    assert quantity.validate_python(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        ".",
        "1..2",
        "1.2.3",
        "-1",
        "+1",
        "1e3",
        "1E3",
        "1K",
        "1ki",
        "1 k",
        "1k ",
        "１０",
        "٣",
    ],
)
def test_what_is_no_quantity_is_refused_with_an_example(text):
    with pytest.raises(ValidationError, match="is not a quantity such as 100"):
        quantity.validate_python(text)


@given(st.integers(1, 10**9))
def test_thousandths_are_exact(thousandths):
    assert parse_quantity(f"{thousandths}m") == float(Decimal(thousandths) / 1000)
    assert parse_quantity(f"{thousandths}m") * 1000 == pytest.approx(thousandths, rel=1e-15)


def test_quantities_do_not_gather_binary_errors():
    assert parse_quantity("300m") == 0.3 != 0.1 + 0.2
    assert parse_quantity("4.35k") == 4_350.0 != 4.35 * 100 * 10


@given(st.from_regex(QUANTITY_PATTERN, fullmatch=True, alphabet=st.characters(codec="ascii")))
def test_whatever_the_crd_takes_for_a_quantity_is_read(text):
    assert parse_quantity(text) >= 0


@pytest.mark.slow
@given(st.from_regex(DURATION_PATTERN, fullmatch=True, alphabet=st.characters(codec="ascii")))
def test_whatever_the_crd_takes_for_a_duration_is_read(text):
    assume(len(text) <= 20)
    assert parse_duration(text) >= 0


@given(st.text(max_size=20) | st.from_regex(r"[0-9.１٣]+[a-zA-Z]*\n?", fullmatch=True))
@example(".5")
@example("5.")
@example("１０m")
@example("5m\n")
def test_nothing_is_read_that_the_crd_refuses(text):
    if not re.fullmatch(QUANTITY_PATTERN, text, re.ASCII):
        with pytest.raises(ValueError, match="is not a quantity"):
            parse_quantity(text)
    if not re.fullmatch(DURATION_PATTERN, text, re.ASCII):
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration(text)


@pytest.mark.parametrize("text", ["9" * 400, "9" * 1_100_000 + "Ti", "1" + "0" * 400 + "k"])
def test_a_quantity_too_large_for_a_number_is_refused_and_not_infinite(text):
    with pytest.raises(ValidationError) as raised:
        quantity.validate_python(text)
    assert len(str(raised.value)) < 400
