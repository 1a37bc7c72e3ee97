"""How far a command has come, as people see it."""

import io
import re
import time

from foretide.operator.commands.progress import Bar, Clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar_that_is_gone_at_the_end():
    out = Terminal()
    with Bar(out) as bar:
        bar(1, 4, "shop: HPA")
        assert out.getvalue().endswith("]  25%  shop: HPA\033[K")
        bar(0, 0, "nothing to do")
    assert out.getvalue().endswith("\r\033[K")


def test_a_log_gets_a_line_now_and_then_even_while_one_step_takes_long():
    out = io.StringIO()
    with Bar(out, every=0.01) as bar:
        bar(1, 4, "shop: HPA")
        deadline = time.monotonic() + 5
        while out.getvalue().count("25% done") < 2:
            assert time.monotonic() < deadline
    lines = out.getvalue().splitlines()
    assert all(re.fullmatch(r"\d+% done after \d+ s(, last shop: HPA)?", line) for line in lines)


def test_a_log_of_work_that_is_soon_done_stays_empty():
    out = io.StringIO()
    with Bar(out) as bar:
        bar(1, 1, "shop: HPA")
    assert out.getvalue() == ""


def test_a_recording_tells_its_seconds_while_a_window_is_taken():
    out = io.StringIO()
    with Clock(20, "sampling process 7", out, every=0.01) as clock:
        assert out.getvalue() == "0 of 20 s  sampling process 7\n"
        clock(10, 20)
        deadline = time.monotonic() + 5
        while "11 of 20 s" not in out.getvalue():
            assert time.monotonic() < deadline


def test_a_recording_tells_no_second_that_is_not_taken():
    """py-spy may take a while to start, and a busy machine longer."""
    out = io.StringIO()
    with Clock(20, "sampling process 7", out, every=0.01) as clock:
        clock(0, 0.2)
        deadline = time.monotonic() + 5
        while out.getvalue().count("\n") < 40:
            assert time.monotonic() < deadline
    assert set(out.getvalue().splitlines()) == {"0 of 20 s  sampling process 7"}


def test_a_recording_has_one_line_of_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    out = Terminal()
    with Clock(20, f"sampling process {'7' * 60}", out) as clock:
        clock(10, 20)
    shown = out.getvalue()
    assert shown.startswith(f"\r[{'.' * 20}] 0 of 20 s  ")
    assert shown.endswith("\r\033[K")
    assert all(len(line) < 50 for line in shown.replace("\033[K", "").split("\r"))
