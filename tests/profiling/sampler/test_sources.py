"""Text of source lines is read from files only, and from such as the program itself may read."""

import os
import subprocess

import pytest

from foretide.profiling.sampler.sources import Sources
from foretide.profiling.window import Frame


def text_of(pid, path):
    return Sources(pid).of_leaves([Frame("f", str(path), 2)], [(0,)]).get(0)


def test_the_line_of_a_file_is_read(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("import time\n  time.sleep(1)\n")
    assert text_of(os.getpid(), path) == "time.sleep(1)"
    assert text_of(os.getpid(), tmp_path / "none.py") is None


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """As with `python /dev/stdin`: somebody has named his code so, and it would be ours."""
    pipe = tmp_path / "pipe.py"
    os.mkfifo(pipe)
    assert text_of(os.getpid(), pipe) is None
    assert text_of(os.getpid(), "/dev/zero") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read what others may not")
def test_what_the_program_may_not_read_is_not_read_for_it(tmp_path):
    secret = tmp_path / "secret.py"
    secret.write_text("first\nsecond\n")
    secret.chmod(0o640)
    program = subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, user=65534, group=65534, extra_groups=[]
    )
    try:
        assert text_of(program.pid, secret) is None
        os.chown(secret, 0, 65534)
        assert text_of(program.pid, secret) == "second"
        secret.chmod(0o600)
        os.chown(secret, 65534, 0)
        assert text_of(program.pid, secret) == "second"
    finally:
        program.communicate()
