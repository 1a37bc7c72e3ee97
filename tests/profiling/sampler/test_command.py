"""The command that runs beside an application: it prints windows, or says what to do."""

import pytest

from foretide.profiling.sampler import find, read_windows
from foretide.profiling.sampler.command import main

COUNTS = "print('ready', flush=True)\nwhile True: sum(range(1000))"
QUICK = ["--seconds=0.3", "--windows=1", "--rate=50", "--stopped=1", "--cores=1"]


def test_windows_of_a_process_are_printed(run, capsys):
    program = run(COUNTS)
    assert main([str(program.pid), *QUICK, "--label=pod=shop"]) == 0
    (window,) = read_windows(capsys.readouterr().out.splitlines())
    assert (window.pid, window.labels) == (program.pid, {"pod": "shop"})


def test_without_a_pid_processes_are_found(run, capsys, monkeypatch):
    program = run(COUNTS)
    found = [each for each in find.python_processes() if each.pid == program.pid]
    assert found
    monkeypatch.setattr("foretide.profiling.sampler.command.python_processes", lambda _: found)
    assert main(QUICK) == 0
    (window,) = read_windows(capsys.readouterr().out.splitlines())
    assert window.pid == program.pid


def test_why_nothing_could_be_sampled_is_said(capsys):
    assert main([str(2**22 + 1), *QUICK]) == 1
    assert "there is no process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--seconds=0", "0.1 to 600"),
        ("--windows=0", "1 or more"),
        ("--label=pod", "NAME=VALUE"),
        ("--rate=0", "rate must be"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(wrong, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main([wrong])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
