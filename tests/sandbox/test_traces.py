"""Loading traces: named ones, files, and an error with its place for every bad input.

Which files are read, and how, is tested in forecasting/backtest/test_csv_file.
"""

import pytest

from sandbox import SandboxError, TraceError, load_trace


@pytest.fixture
def trace(tmp_path):
    def write(text, name="trace.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_the_first_numbers_beside_the_times_are_the_values(trace):
    loaded = load_trace(trace("ts,value,other\n100,1.5,9\n160,2.5,8\n"))
    assert loaded.times == (100.0, 160.0)
    assert loaded.values == (1.5, 2.5)
    assert loaded.seconds == 60
    assert loaded.notes[0] == "of several columns 'value' is taken: choose with --column"


def test_files_are_read_as_a_backtest_reads_them(trace):
    # Milliseconds, semicolons, no header.
    loaded = load_trace(trace("1700000000000;1,5\n1700000060000;2,5\n"))
    assert loaded.times == (1_700_000_000.0, 1_700_000_060.0)
    assert loaded.values == (1.5, 2.5)


def test_times_without_a_zone_are_in_the_one_that_is_given(trace):
    path = trace("t,v\n1970-01-02 00:01:00,1\n1970-01-02T00:02:00Z,2\n")
    assert load_trace(path).times == (86_460.0, 86_520.0)
    assert load_trace(path, zone="Europe/Berlin").times == (82_860.0, 86_520.0)


@pytest.mark.parametrize("column", ["other", 3, "3"])
def test_a_column_is_chosen_by_name_or_number(trace, column):
    assert load_trace(trace("t,v,other\n0,1,7\n1,2,8\n"), column=column).values == (7.0, 8.0)


def test_a_sample_without_a_value_is_a_gap(trace):
    loaded = load_trace(trace("ts,value\n0,1\n60,\n120,3\n"))
    assert (loaded.times, loaded.values) == ((0.0, 120.0), (1.0, 3.0))
    assert "1 of 3 values are missing and count as gaps" in loaded.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("t,v\n", "is empty"),
        ("t,v\n0,1\n", "needs at least 2 values, and has 1"),
        ("t,v\n0,1\n60,\n", "needs at least 2 values, and has 1"),
        ("t,v\n0,1\nyesterday,2\n", "line 3: 'yesterday' is not a time"),
        ("t,v\n0,1\n1,many\n", "line 3: 'many' is not a number"),
        ("t,v\n0,1\n1,inf\n", "line 3: demand must be finite"),
        ("t,v\n0,1\n1,-2\n", "line 3: demand is -2, and must not be negative"),
        ("t,v\n0,1\n2,1\n1,2\n", "line 4: '1' is earlier than the line before"),
        ("t,v\n5,1\n5,2\n", "line 3: '5' is there twice"),
        ("t\n5\n6\n", "has one column only"),
    ],
)
def test_bad_input_is_refused_with_its_place(trace, text, message):
    with pytest.raises(TraceError, match=message):
        load_trace(trace(text))


def test_a_column_that_is_not_there_is_refused(trace):
    for source in (trace("t,v\n0,1\n1,2\n"), "alibaba2018"):
        with pytest.raises(TraceError, match="no column '0'; it has"):
            load_trace(source, column=0)


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\x89PNG\x00\x01")
    with pytest.raises(TraceError, match="it is not text"):
        load_trace(path)


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(SandboxError, match="give a CSV file or one of alibaba2018"):
        load_trace("nothing.csv")
    with pytest.raises(SandboxError, match="give a CSV file or one of alibaba2018"):
        load_trace(tmp_path)


@pytest.mark.slow
def test_a_packaged_trace_has_times_of_its_own_step():
    loaded = load_trace("alibaba2018")
    assert loaded.times[:3] == (0.0, 10.0, 20.0)
    assert len(loaded.times) == len(loaded.values) > 60_000
    assert load_trace("alibaba2018", column=1) == loaded
    memory = load_trace("alibaba2018", column="mem_util_percent")
    assert memory == load_trace("alibaba2018", column="2") != loaded


def test_traces_are_also_found_in_the_configured_folder(trace, tmp_path, monkeypatch):
    trace("t,v\n0,1\n1,2\n", "known.csv")
    monkeypatch.setenv("FORETIDE_TRACES", str(tmp_path))
    assert load_trace("known.csv").name == "known"
