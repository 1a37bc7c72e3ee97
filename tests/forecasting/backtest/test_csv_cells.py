"""Values as files write them: decimal points and commas, gaps, and what is no demand."""

import math

import pytest

from foretide.forecasting.backtest.csv_cells import BadDemand, read_values, span


def read(*texts, comma=True):
    return read_values(list(enumerate(texts, start=2)), "x.csv", comma=comma)


def test_decimals_may_have_a_comma_where_none_separates_the_columns():
    note = ["commas are read as decimal points"]
    assert read("1075,9", "1.075,9", "12", "-", "1.075") == (
        pytest.approx([1075.9, 1075.9, 12.0, math.nan, 1075.0], nan_ok=True),
        note,
    )
    assert read("12,345", "0,5") == ([12.345, 0.5], note)


def test_a_point_is_for_decimals_in_any_file():
    for comma in (True, False):
        assert read("12.345", "7.5", "1e3", comma=comma) == ([12.345, 7.5, 1000.0], [])


def test_cells_without_a_value_are_nan():
    values, notes = read("", "NaN", "null", "N/A", "undefined", "5")
    assert [math.isnan(value) for value in values] == [True] * 5 + [False]
    assert notes == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("5", "many"), "line 3: 'many' is not a number: write it as 1075.9"),
        (("5", "1075.9 req/s"), "line 3: '1075.9 req/s' is not a number"),
        (("1_000",), "'1_000' is not a number"),
        (("5", "-1"), "line 3: demand is -1, and must not be negative"),
        (("0,5", "-1,5"), "line 3: demand is -1,5, and must not be negative"),
        (("5", "inf"), "line 3: demand must be finite"),
        (("5", "1e300"), "line 3: demand is 1e300, which is too much to be true"),
        (("0,5", "1,075.9"), "line 3: '1,075.9' is not a number"),
        (("0,5", "12.5"), "line 3: '12.5' is not a number"),
        # Thousands in one country are decimals in another.
        (("999", "1,075", "2,100"), "line 3: '1,075' may have decimals or thousands"),
        (("999", "1.075", "2.100"), "line 3: '1.075' may have decimals or thousands"),
    ],
)
def test_what_is_no_demand_is_refused(texts, message):
    with pytest.raises(BadDemand, match=rf"x\.csv, .*{message}"):
        read(*texts)


def test_a_comma_is_no_decimal_point_where_commas_separate():
    with pytest.raises(BadDemand, match="'1,075' is not a number"):
        read("1,075", comma=False)


def test_spans_are_said_as_people_say_them():
    wanted = {45: "45 s", 60: "1 min", 1200: "20 min", 270_000: "75 h", 864_000: "10 days"}
    assert {seconds: span(seconds) for seconds in wanted} == wanted
