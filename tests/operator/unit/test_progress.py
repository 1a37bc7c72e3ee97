"""How far a command has come, as people see it."""

import io
import re
import time

from foretide.operator.commands.progress import Bar


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
