"""Recordings made by hand, as files, and running `foretide profile`."""

from dataclasses import replace

import pytest

from foretide.operator.main import main
from foretide.profiling.files import Format, write_profile
from foretide.profiling.window import (
    Container,
    Frame,
    Overhead,
    ProcessFacts,
    Samples,
    Thread,
    ThreadState,
    Window,
)


@pytest.fixture
def window():
    return Window(
        started_at=1.7e9,
        seconds=10.0,
        rate=20.0,
        pid=7,
        python_version="3.12.1",
        command="python shop.py",
        sample_count=200,
        sweeps=200,
        frames=(Frame("main", "/app/a.py", 1), Frame("work", "/app/a.py", 5)),
        stacks=((0, 1), (0,)),
        threads=(Thread(7, "Main", 6.0, 0.0, 6.0, 0.0, 0, 0, {ThreadState.RUNNING: 120}),),
        samples=(Samples(0, 0, 120, 120), Samples(0, 1, 80, 0)),
        process=ProcessFacts(6.0, 6.0, 0.0, 0, 0, 1 << 26, 0),
        container=Container(),
        overhead=Overhead(0.003, 0.05, 1 << 24),
    )


@pytest.fixture
def recording(window, tmp_path):
    """A file of six windows."""
    path = tmp_path / "recording.ftp"
    windows = [replace(window, started_at=1.7e9 + 10 * number) for number in range(6)]
    path.write_bytes(write_profile(windows, Format.FORETIDE))
    return path


@pytest.fixture
def profile(capsys):
    """Runs `foretide profile …`: the exit status, what was printed, what was told as an error."""

    def run(*arguments):
        status = main(["profile", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
