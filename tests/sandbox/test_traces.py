"""Loading traces: every accepted form, and an error with its place for every bad input."""

import pytest

from sandbox import SandboxError, TraceError, load_trace


@pytest.fixture
def trace(tmp_path):
    def write(text, name="trace.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_unix_seconds_and_the_second_column_are_the_default(trace):
    loaded = load_trace(trace("ts,value,other\n100,1.5,9\n160,2.5,8\n"))
    assert loaded.times == (100.0, 160.0)
    assert loaded.values == (1.5, 2.5)
    assert loaded.seconds == 60


def test_iso_times_without_a_zone_are_utc(trace):
    loaded = load_trace(trace("t,v\n1970-01-01 00:01:00,1\n1970-01-01T02:02:00+02:00,2\n"))
    assert loaded.times == (60.0, 120.0)


@pytest.mark.parametrize("column", ["other", 2, "2"])
def test_a_column_is_chosen_by_name_or_number(trace, column):
    assert load_trace(trace("t,v,other\n0,1,7\n1,2,8\n"), column=column).values == (7.0, 8.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("t,v\n", "at least 2 rows, has 0"),
        ("t,v\n0,1\n", "at least 2 rows, has 1"),
        ("t,v\n0,1\nyesterday,2\n", "line 3: 'yesterday' is not a time"),
        ("t,v\nnan,1\n1,2\n", "line 2: 'nan' is not a time"),
        ("t,v\n0,1\n1,many\n", "line 3: 'many' is not a number"),
        ("t,v\n0,1\n1,\n", "line 3: '' is not a number"),
        ("t,v\n0,1\n1\n", "line 3: '' is not a number"),
        ("t,v\n0,1\n1,inf\n", "line 3: 'inf' is not a finite number"),
        ("t,v\n5,1\n4,2\n", "line 3: times must ascend"),
        ("t,v\n5,1\n5,2\n", "line 3: times must ascend"),
        ("t\n5\n6\n", "no column 1 among t"),
    ],
)
def test_bad_input_is_refused_with_its_place(trace, text, message):
    with pytest.raises(TraceError, match=message):
        load_trace(trace(text))


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(TraceError, match="cannot be read as CSV"):
        load_trace(path)


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(SandboxError, match="give a CSV file or one of alibaba2018"):
        load_trace("nothing.csv")


def test_a_packaged_trace_has_times_of_its_own_step():
    loaded = load_trace("alibaba2018")
    assert loaded.times[:3] == (0.0, 10.0, 20.0)
    assert len(loaded.times) == len(loaded.values) > 60_000


def test_traces_are_also_found_in_the_configured_folder(trace, tmp_path, monkeypatch):
    trace("t,v\n0,1\n1,2\n", "known.csv")
    monkeypatch.setenv("FORETIDE_TRACES", str(tmp_path))
    assert load_trace("known.csv").name == "known"
