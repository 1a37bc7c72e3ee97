"""The benchmark's labelled programs: enough of each class, and honest about themselves."""

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.profiling_programs import PROGRAMS, Program, ProgramFailed, Running, running
from foretide.profiling.bound import Kind


def test_each_class_has_three_programs_and_a_third_is_held_out():
    labels = Counter(program.label for program in PROGRAMS)
    assert set(labels) == {kind.value for kind in Kind} - {"Unknown"}
    assert min(labels.values()) >= 3
    assert {program.label for program in PROGRAMS if program.held_out} == set(labels)
    assert 3 * sum(program.held_out for program in PROGRAMS) >= len(PROGRAMS)


def test_truth_between_two_lines_is_in_proportion_to_time():
    program = Running(1)
    program.take(b'{"at": 10.0, "cpu": {"hot": 1.0}, "process": 2.0, "requests": 10}\n')
    program.take(b'{"at": 20.0, "cpu": {"hot": 5.0, "new": 1.0}, "process": 8.0, "requests": 20}')
    program.take(b"something else\n")
    assert program.truth(10.0, 15.0) == pytest.approx(
        {"hot": 2.0, "new": 0.5, "process": 3.0, "requests": 5.0}
    )
    with pytest.raises(ProgramFailed, match="told nothing"):
        program.truth(5.0, 15.0)


@pytest.mark.slow
def test_a_program_keeps_true_books_of_its_hotspot():
    with running(Program("CPU", "hotspots", "share40"), Path(sys.executable), 10) as program:
        until = time.monotonic() + 20
        while len(program.told) < 10 and time.monotonic() < until:
            time.sleep(0.05)
        since, last = program.told[0][0], program.told[-1][0]
        truth = program.truth(since, last)
    planted = truth["hot"] + truth["warm"] + truth["mild"]
    assert planted == pytest.approx(truth["process"], rel=0.1)
    assert truth["hot"] / planted == pytest.approx(0.4, abs=0.05)
    assert not Path(f"/proc/{program.pid}").exists()


@pytest.mark.slow
def test_a_program_that_cannot_start_says_why():
    with (
        pytest.raises(ProgramFailed, match="usage"),
        running(Program("CPU", "cpu", "nothing"), Path(sys.executable), 1),
    ):
        pass
