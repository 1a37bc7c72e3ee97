"""`foretide profile` on recordings: what it prints and writes, and what it says to bad input."""

import json
import re
from dataclasses import replace

import pytest

from foretide.profiling.files import Format, read_profile, write_profile


def test_a_recording_is_reported(profile, recording, tmp_path):
    status, out, _ = profile("report", recording, "--json", tmp_path / "r.json")
    assert status == 0
    assert "work (/app/a.py)" in out
    figures = json.loads((tmp_path / "r.json").read_text())
    assert figures["cpu"]["ranked"][0]["function"]["name"] == "work"
    assert set(figures) == {"cpu", "wall", "bound"}


def test_a_flame_graph_is_written(profile, recording, tmp_path):
    status, out, _ = profile("flame", recording, "-o", tmp_path / "x.html")
    assert status == 0
    assert "open it in a browser" in out
    assert "<!doctype html>" in (tmp_path / "x.html").read_text()


def test_a_flame_graph_of_a_change_names_both_sides(profile, recording, tmp_path):
    page = tmp_path / "x.html"
    assert profile("flame", recording, "--before", recording, "-o", page)[0] == 0
    assert '"before":{' in page.read_text()


@pytest.mark.parametrize("name", ["a.pb.gz", "a.speedscope.json", "a.folded", "a.trace.json"])
def test_a_recording_is_converted_and_read_again(profile, recording, tmp_path, name):
    assert profile("convert", recording, tmp_path / name)[0] == 0
    assert {frame.function for frame in read_profile(tmp_path / name).frames} >= {"main", "work"}
    status, out, _ = profile("report", tmp_path / name)
    assert status == 0
    assert "work" in out


@pytest.mark.parametrize("name", ["a.speedscope.json", "a.trace.json"])
def test_cpu_time_is_still_called_so_when_it_is_read_again(profile, recording, tmp_path, name):
    profile("convert", recording, tmp_path / name)
    _, out, _ = profile("report", tmp_path / name)
    assert "Where the CPU time goes (36.0 s)" in out
    assert "on the clock" not in out


def test_what_is_converted_is_told(profile, recording, tmp_path):
    _, out, _ = profile("convert", recording, tmp_path / "a.folded")
    assert "collapsed, CPU time in microseconds" in out
    _, out, _ = profile("convert", recording, tmp_path / "a.trace.json", "--metric", "samples")
    assert "chrome, a number of samples" in out
    status, out, err = profile(
        "convert", tmp_path / "a.trace.json", tmp_path / "b.folded", "--metric", "cpu"
    )
    assert (status, out) == (2, "")
    assert "CPU time is not in it" in err


def test_cpu_time_is_not_drawn_against_time_on_the_clock(profile, recording, tmp_path):
    wall = tmp_path / "a.trace.json"
    profile("convert", recording, wall, "--metric", "wall")
    status, _, err = profile("flame", recording, "--before", wall, "-o", tmp_path / "x.html")
    assert status == 2
    assert f"{wall} does not say what was CPU time" in err


def test_equal_recordings_do_not_differ(profile, recording):
    status, out, _ = profile("compare", recording, recording, "--check")
    assert status in (0, 3)
    assert out.startswith(("NoChange", "InsufficientData"))


def test_a_comparison_with_itself_or_another_program_is_told(profile, recording, window, tmp_path):
    _, out, _ = profile("compare", recording, recording)
    assert "6 of 6 windows are in either recording" in out
    other = tmp_path / "other.ftp"
    window = replace(window, started_at=1.8e9, command="python \033[2Jother.py")
    other.write_bytes(write_profile([window], Format.FORETIDE))
    _, out, _ = profile("compare", recording, other)
    assert "either recording" not in out
    assert "BEFORE is of python shop.py, AFTER of python �[2Jother.py: if these are two" in out


def test_a_recording_of_nothing_is_refused(profile, recording, tmp_path):
    empty = tmp_path / "empty.ftp"
    empty.write_bytes(write_profile([], Format.FORETIDE))
    for arguments in (("report", empty), ("compare", recording, empty)):
        status, _, err = profile(*arguments)
        assert status == 2
        assert f"{empty}: it has no windows" in err


def test_comparing_another_tools_file_says_what_to_record(profile, recording, tmp_path):
    profile("convert", recording, tmp_path / "a.folded")
    status, _, err = profile("compare", recording, tmp_path / "a.folded")
    assert status == 2
    assert "foretide profile record" in err


def test_a_function_that_nobody_saw_is_not_said_to_cost_what_it_did(profile, recording):
    status, out, err = profile("compare", recording, recording, "--function", "wrok")
    assert (status, out) == (2, "")
    assert "neither recording has a function of that name" in err
    assert profile("compare", recording, recording, "--function", "work")[0] == 0


def test_a_small_page_has_a_size(profile, recording, tmp_path):
    _, out, _ = profile("flame", recording, "-o", tmp_path / "x.html")
    assert re.search(r"x\.html: [1-9]\d* kB", out)


BAD = {
    "no such file": (("report", "none.ftp"), "No such file"),
    "no such process": (("report", "4194305"), "no process 4194305"),
    "no pid": (("record", "0"), "0 is no PID"),
    "a negative pid": (("top", "--", "-1"), "-1 is no PID"),
    "no python": (("record", "1"), "process 1"),
    "a format that is unknown": (("convert", "in.ftp", "out.png"), ".pb.gz"),
    "an end that is unknown": (("record", "1", "-o", "out.png"), "such as .ftp"),
    "too short": (("record", "1", "--seconds", "0"), "between 1 and 86400"),
    "too short in a pod": (("pod", "shop-1", "--seconds", "5"), "between 10 and 3600"),
    "too fast in a pod": (("pod", "shop-1", "--rate", "101"), "between 1 and 100 Hz"),
    "too fast": (("report", "1", "--rate", "9999"), "process 1|between 0.5 and 1000"),
    "no requests": (("compare", "a", "b", "--requests", "5,zero"), "two numbers above 0"),
    "requests beyond all sums": (("compare", "a", "b", "--requests", "1e-320,1"), "above 0"),
    "none to show": (("report", "a", "--limit", "0"), "--limit"),
    "a folder that is not there": (("flame", "1", "-o", "none/x.html"), "there is no folder none"),
    "a folder for a file": (("flame", "1", "-o", "."), "cannot write .: Is a directory"),
    "a picture": (("flame", "1", "-o", "x.svg"), "x.svg: a flame graph is an HTML file"),
    "a view without an end": (("top", "1", "--last", "inf"), "--last from that to 3600"),
    "no view": (("top", "1", "--count", "0"), "--count must be 1"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_done_is_told_in_one_sentence(profile, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, said = BAD[what]
    status, _, err = profile(*arguments)
    assert status == 2
    assert err.startswith("foretide: ")
    assert len(err.strip().splitlines()) == 1
    assert re.search(said, err)


def test_damage_is_told_with_the_files_name(profile, recording):
    recording.write_bytes(recording.read_bytes()[:-30])
    status, _, err = profile("report", recording)
    assert status == 2
    assert f"{recording}: it is cut off" in err
