"""CSV files as people have them, and what is said of those that cannot be used."""

import math

import pytest

from foretide.forecasting.backtest.csv_file import BadDemand, read_csv


def test_times_are_iso_or_unix_seconds_or_finer(write_csv):
    wanted = (1_700_000_000.0, 1_700_000_060.0)
    for first, second in (
        ("1700000000", "1700000060"),
        ("1700000000000", "1700000060000"),
        ("1.7e18", "1700000060000000000"),
        ("2023-11-14T22:13:20Z", "2023-11-14T23:14:20+01:00"),
        ("2023-11-14 22:13:20", "2023-11-14 22:14:20"),
    ):
        found = read_csv(write_csv("time,value", f"{first},1", f"{second},2"))
        assert (found.times, found.values, found.notes) == (wanted, (1.0, 2.0), ())


def test_small_numbers_are_seconds_too(write_csv):
    assert read_csv(write_csv("t,v", "0,5", "60,6")).times == (0.0, 60.0)


def test_a_file_needs_no_header_and_any_usual_delimiter(write_csv):
    assert read_csv(write_csv("0,5", "60,6")).values == (5.0, 6.0)
    assert read_csv(write_csv("0;5", "60;6")).values == (5.0, 6.0)
    assert read_csv(write_csv("time\tvalue", "0\t5", "", "60\t6")).values == (5.0, 6.0)


def test_columns_are_found_by_name_or_by_what_they_hold(write_csv):
    for lines in (
        ("value,timestamp", "7,1700000000"),
        ("Value,When", "7,2023-11-14T22:13:20Z"),
        ("host,when,n", "web-1,2023-11-14T22:13:20Z,7"),
        ("id,ds,y", "3,2023-11-14T22:13:20Z,7"),
    ):
        found = read_csv(write_csv(*lines))
        assert (found.times, found.values) == ((1_700_000_000.0,), (7.0,))


def test_of_several_columns_one_is_named(write_csv):
    path = write_csv("time,cpu,memory", "0,5,7", "60,6,8")
    found = read_csv(path)
    assert found.values == (5.0, 6.0)
    assert found.notes == ("of several columns 'cpu' is taken: choose with --column",)
    assert read_csv(path, value_column="memory").values == (7.0, 8.0)
    assert read_csv(path, value_column="3").values == (7.0, 8.0)
    assert read_csv(path, time_column="cpu", value_column="memory").times == (5.0, 6.0)


def test_missing_values_are_gaps_and_told(write_csv):
    found = read_csv(write_csv("time,value", "0,5", "60,", "120,NaN", "180,6"))
    assert [math.isnan(value) for value in found.values] == [False, True, True, False]
    assert found.notes == ("2 of 4 values are missing and count as gaps",)


def test_the_last_of_a_file_can_be_taken(write_csv):
    found = read_csv(write_csv("time,value", *(f"{60 * at},{at}" for at in range(10))))
    assert found.last(180).values == (7.0, 8.0, 9.0)
    assert found.last(1e9) == found


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("",), "is empty"),
        (("time,value",), "is empty"),
        (("time,value", "0,5", "120,6", "60,7"), r"line 4: '60' is earlier .* sort the file"),
        (("time,value", "0,5", "0,6"), r"line 3: '0' is there twice"),
        (("time,value", "0,5", "60,-1"), "line 3: demand is -1, and must not be negative"),
        (("time,value", "0,5", "60,inf"), "line 3: demand must be finite"),
        (("time,value", "0,5", "60,many"), "line 3: 'many' is not a number"),
        (("time,value", "0,5", "yesterday,6"), "line 3: 'yesterday' is not a time"),
        (("time,value", "0,", "60,nan"), "no column of numbers|holds no values"),
        (("when,value", "monday,few", "tuesday,many"), "no column of times"),
        (("time,host", "2023-11-14T22:13:20Z,a"), "no column of numbers beside the times"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(write_csv, lines, message):
    with pytest.raises(BadDemand, match=message):
        read_csv(write_csv(*lines))


def test_a_column_that_is_not_there_is_named_with_those_that_are(write_csv):
    with pytest.raises(BadDemand, match=r"no column 'rps'; it has time, value"):
        read_csv(write_csv("time,value", "0,5"), value_column="rps")
    with pytest.raises(BadDemand, match="numbers from 1 to 2"):
        read_csv(write_csv("0,5"), value_column="3")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(BadDemand, match=r"nowhere\.csv: No such file"):
        read_csv(tmp_path / "nowhere.csv")
    binary = tmp_path / "picture.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(BadDemand, match="not text"):
        read_csv(binary)
