"""Local variables leave a process only where they were asked for."""

import pytest

from foretide.profiling.sampler import Budget, PySpyError, read_windows, sample, to_packed_line
from foretide.profiling.sampler.variables import parse_dump

SECRET = """
    import time

    def handle(token):
        print("ready", flush=True)
        time.sleep(60)

    handle("s3cret-token")
"""
GENEROUS = Budget(cores=1.0, stopped=1.0, rate=60.0)


def test_variables_stay_where_they_are(run):
    program = run(SECRET)
    (window,) = sample(program.pid, seconds=0.3, windows=1, budget=GENEROUS)
    assert window.variables == {}
    assert "s3cret" not in repr(window).replace('handle("s3cret-token")', "")


def test_variables_come_along_where_they_were_asked_for(run):
    program = run(SECRET)
    (window,) = sample(program.pid, seconds=0.3, windows=1, budget=GENEROUS, variables=True)
    by_function = {window.frames[index].function: it for index, it in window.variables.items()}
    assert by_function["handle"]["token"] == '"s3cret-token"'
    assert list(read_windows([to_packed_line(window)])) == [window]


@pytest.mark.parametrize("text", ["", '[{"frames": [{"name": "f"}]}]', "[1]"])
def test_what_is_no_dump_is_refused(text):
    with pytest.raises(PySpyError):
        assert parse_dump(text) is None
