"""CSV files as people have them, and what is said of those that cannot be used.

The formats of times and of numbers have tests of their own: test_csv_times, test_csv_cells.
"""

import math

import pytest

from foretide.forecasting.backtest.csv_file import BadDemand, read_csv

# A minute after the other, as Unix seconds.
AT, THEN = 1_700_000_000, 1_700_000_060


def test_a_file_needs_no_header_and_any_usual_delimiter(write_csv):
    for lines in (
        (f"{AT},5", f"{THEN},6"),
        (f"{AT};5", f"{THEN};6"),
        ("time\tvalue", f"{AT}\t5", "", f"{THEN}\t6"),
        ("sep=;", "time;a,b", f"{AT};5", f"{THEN};6"),
        ("time;requests, total;x", f"{AT};5;", f"{THEN};6;"),
        ("2023-11-14T22:13:20Z,-", f"2023-11-14T22:14:20Z,{5}", "2023-11-14T22:15:20Z,6"),
    ):
        values = [value for value in read_csv(write_csv(*lines)).values if not math.isnan(value)]
        assert values == [5.0, 6.0]


def test_what_spreadsheets_write_is_read_in_their_encoding(tmp_path):
    path = tmp_path / "demand.csv"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_text(f"time\tvälue\n{AT}\t5\n{THEN}\t6\n", encoding=encoding)
        assert read_csv(path, value_column="välue").values == (5.0, 6.0)


def test_columns_are_found_by_name_or_by_what_they_hold(write_csv):
    for lines in (
        ("value,timestamp", "7,1700000000"),
        ("Value,When", "7,2023-11-14T22:13:20Z"),
        ("host,when,n", "web-1,2023-11-14T22:13:20Z,7"),
        ("id,ds,y", "3,2023-11-14T22:13:20Z,7"),
        ("expires,time,value", "2030-01-01,1700000000,7"),
        ('"Time","7","8"', '"2023-11-14T22:13:20Z",7,8'),
    ):
        found = read_csv(write_csv(*lines))
        assert (found.times, found.values) == ((1_700_000_000.0,), (7.0,))


def test_values_as_large_as_a_time_are_not_taken_for_one(write_csv):
    found = read_csv(write_csv("bytes,when", "1700000000,2023-11-14T22:13:20Z"))
    assert (found.times, found.values) == ((1_700_000_000.0,), (1_700_000_000.0,))


def test_of_several_columns_one_is_named(write_csv):
    path = write_csv("time,cpu,memory", f"{AT},5,7", f"{THEN},6,8")
    found = read_csv(path)
    assert found.values == (5.0, 6.0)
    assert found.notes == ("of several columns 'cpu' is taken: choose with --column",)
    assert read_csv(path, value_column="memory").values == (7.0, 8.0)
    assert read_csv(path, value_column="3").values == (7.0, 8.0)
    assert read_csv(path, time_column="cpu", value_column="memory").times == (5.0, 6.0)


def test_missing_values_are_gaps_and_told(write_csv):
    lines = (f"{AT + 60 * at},{value}" for at, value in enumerate(("5", "", "NaN", "6")))
    found = read_csv(write_csv("time,value", *lines))
    assert [math.isnan(value) for value in found.values] == [False, True, True, False]
    assert found.notes == ("2 of 4 values are missing and count as gaps",)


def test_missing_lines_are_told(write_csv):
    lines = (f"{AT + 60 * at},5" for at in range(600) if not 120 <= at < 300)
    (note,) = read_csv(write_csv("time,value", *lines)).notes
    assert note == (
        "lines are missing for 3 h of 9.98 h and count as gaps; the longest is 3 h after "
        "2023-11-15 00:12 UTC"
    )


def test_a_line_that_comes_late_is_no_gap(write_csv):
    lines = (f"{AT + 60 * at + at % 7},5" for at in range(600) if at != 300)
    assert read_csv(write_csv("time,value", *lines)).notes == ()


def test_the_newest_may_come_first(write_csv):
    found = read_csv(write_csv("time,value", f"{THEN},6", f"{AT},5"))
    assert (found.times, found.values) == ((AT, THEN), (5.0, 6.0))


def test_a_line_that_is_there_twice_counts_once(write_csv):
    found = read_csv(write_csv("time,value", f"{AT},5", f"{AT},5", f"{THEN},6"))
    assert found.values == (5.0, 6.0)
    assert found.notes == ("1 lines are there twice, and count once",)


def test_series_that_take_turns_are_noted(write_csv):
    rows = (f"{AT + 30 * at},web-{at % 2},{at}" for at in range(6))
    _, note = read_csv(write_csv("time,pod,value", *rows)).notes
    assert note.startswith("column 'pod' holds 'web-0', 'web-1' and so on: if these are several")


def test_the_last_of_a_file_can_be_taken(write_csv):
    found = read_csv(write_csv("time,value", *(f"{AT + 60 * at},{at}" for at in range(10))))
    assert found.last(180).values == (7.0, 8.0, 9.0)
    assert found.last(1e9) == found


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("",), "is empty"),
        (("time,value",), "is empty"),
        (("time,value", "0,5", "120,6", "60,7"), r"line 4: '60' is earlier .* sort the file"),
        (("time,value", "120,5", "0,6", "60,7"), r"line 3: '0' is later than the line before"),
        (("time,value", "0,5", "0,6"), r"line 3: '0' is there twice, with other .* Sum them first"),
        (("time,pod,value", "0,a,5", "0,b,5"), "line 3: '0' is there twice, with other values"),
        (("time,value", "0,5", "yesterday,6"), "line 3: 'yesterday' is not a time"),
        (("time,value", "0,", "60,nan"), "holds no values"),
        (("time,value", "0,", "60,"), "holds no values beside the times"),
        (("when,value", "monday,few", "tuesday,many"), "no column of times: line 2 has 'monday'"),
        (("time,host", "2023-11-14T22:13:20Z,a"), "no column of numbers .* line 2: 'a' is not"),
        (("time,value,id", f"{AT},107 req/s,2"), "no column of numbers .*'107 req/s' is not"),
        (("time,value", f"{AT},1075,9"), r"line 2: it has 3 columns and the header 2: .*point"),
        (("time", f"{AT}"), "has one column only"),
        (("value;time", "107"), "no column of times: line 2 has ''"),
        (("time,bytes", "1,1700000180"), "may be in column 'time' or 'bytes': choose with --time"),
        # A value is no time because nothing else is one.
        (("day,value", "5.28.26 20:25,107", "5.28.26 20:30,108"), "line 2 has '5.28.26 20:25'"),
        ((",day,value", "0,May 28 20:25,107", "1,May 28 20:30,108"), "has 'May 28 20:25'"),
        ((",day,value", "0,May 28 2026,107", "1,May 29 2026,108"), "has 'May 28 2026'"),
        (("value,cost", "107,3", "108,4", "106,5"), "no column of times: line 2 has '107'"),
        (("minute,200,500", f"{AT},1,2"), "line 1: 'minute' is not a time|has no column"),
        (("date;clock;value", "28.05.2026;20:25;1", "28.05.2026;20:30;2"), "a date alone"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(write_csv, lines, message):
    with pytest.raises(BadDemand, match=message):
        read_csv(write_csv(*lines))


def test_local_times_that_come_twice_ask_for_the_zone(write_csv):
    clocks = [f"2026-11-01 0{hour}:{half}" for hour in (0, 1, 1, 2) for half in ("00", "30")]
    path = write_csv("time,value", *(f"{clock},{at}" for at, clock in enumerate(clocks)))
    with pytest.raises(BadDemand, match=r"line 6: .* is earlier .* clocks go back .*--time-zone"):
        read_csv(path)
    found = read_csv(path, zone="America/New_York")
    assert [time - found.times[0] for time in found.times] == [1800.0 * at for at in range(8)]
    assert found.notes == (
        "times name no zone and are taken as America/New_York: choose with --time-zone",
    )


def test_a_column_that_is_not_there_is_named_with_those_that_are(write_csv):
    with pytest.raises(BadDemand, match=r"no column 'rps'; it has time, value"):
        read_csv(write_csv("time,value", "0,5"), value_column="rps")
    with pytest.raises(BadDemand, match="numbers from 1 to 2"):
        read_csv(write_csv("0,5"), value_column="3")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x89PNG\r\n\x1a\n", "not text"),
        (b"time,value\n0,\x00\n", "not text"),
        ("time,wörter\n".encode("latin-1"), "save it as 'CSV UTF-8'"),
        (b"PK\x03\x04rest", "export it as CSV"),
        (b"\x1f\x8brest", "unpack it first"),
    ],
)
def test_a_file_that_is_no_text_is_named_with_what_to_do(tmp_path, raw, message):
    path = tmp_path / "picture.csv"
    path.write_bytes(raw)
    with pytest.raises(BadDemand, match=rf"cannot read .*picture\.csv: .*{message}"):
        read_csv(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(BadDemand, match=r"nowhere\.csv: No such file"):
        read_csv(tmp_path / "nowhere.csv")
    with pytest.raises(BadDemand, match="Is a directory"):
        read_csv(tmp_path)
