"""What the report says, and that no name can move a terminal's cursor."""

import re

import pytest

from foretide.profiling.hotspots import hotspots
from foretide.profiling.profile import Merging, Unit, merge
from foretide.profiling.report import clean, ranking, report, report_of, short_file
from foretide.profiling.window import Frame, Overhead, ThreadState

SITE = "/app/.venv/lib/python3.12/site-packages"
FLASK = f"main:1;{SITE}/flask/app.py:dispatch_request:9"


@pytest.fixture(scope="module")
def text(window, thread):
    seen = {
        f"{FLASK};/app/shop.py:checkout:3;/app/shop.py:parse:31": (100, 100),
        f"{FLASK};/app/shop.py:search:7": (20, 20),
        f"{FLASK};/app/shop.py:fetch:9": (80, 0),
    }
    states = {"running": 120, "network": 80}
    source = {"31": "    return json.loads(text)", "9": "sock.recv(1)"}
    one = window(thread(seen, cpu=6.0, states=states), source=source, process_cpu=6.5)
    return report([one] * 3)


def test_it_says_how_much_was_used(text):
    assert "python shop.py, Python 3.12.1" in text
    assert "CPU: 19.5 s, 0.65 cores, of it 1.5 s in threads without Python, or gone" in text


def test_it_ranks_with_interval_and_code(text):
    assert re.search(r"83\.\d %.* parse \(/app/shop.py\)", text)
    assert re.search(r"line 31: 83\.\d %  return json.loads\(text\)", text)


def test_it_says_the_pareto_share_of_this_workload(text):
    assert "90% of it is in 2 of 6 functions (33%)." in text


def test_it_groups_by_handler(text):
    assert re.search(r"83\.\d %  Flask checkout \(/app/shop.py\), 100 % of it in parse", text)


def test_it_says_what_was_waited_for_and_what_profiling_cost(text):
    assert "60 % on the CPU" in text
    assert "40.0 %  for the network" in text
    assert "stopped for 0.30 % of the time, 0.5 % of a core" in text


def test_too_little_is_told_and_not_ranked(window, thread):
    text = report([window(thread({"main;work:1": (20, 20)}, cpu=1.0))])
    assert "20 samples are too few" in text
    assert "work" not in text.split("Where the CPU time goes")[1].split("\n\n")[0].split("few")[0]


def test_too_little_can_be_ranked_for_now_and_says_so(window, thread):
    one = window(thread({"main;work:1": (20, 20)}, cpu=1.0))
    found = hotspots([one], least=1)
    assert [each.function.name for each in found.ranked] == ["work", "main"]
    text = ranking(found, merge([one]))
    assert "for now: it comes of 20 samples, 100 make it reliable" in text
    assert re.search(r"\d\d\.\d – 100\.0 %", text)
    assert "for now" not in ranking(hotspots([one] * 6), merge([one] * 6))


def test_it_says_why_there_are_so_few_samples_where_more_would_cost_too_much(window, thread):
    seen = thread({"main;work:1": (40, 40)}, cpu=9.0)
    slow = window(seen, rate=0.7, sample_count=7, overhead=Overhead(0.005, 0.1, 1 << 24))
    assert "0.7 samples a second were all that it may cost" in report([slow])
    # Another rate that somebody has asked for.
    cheap = window(seen, rate=0.7, sample_count=7, overhead=Overhead(0.0002, 0.001, 1 << 24))
    assert "all that it may cost" not in report([cheap])


def test_a_single_sample_is_ranked_for_now_too(window, thread):
    """It may have been at work for a part of its time only, and so count for less than one."""
    one = window(thread({"main;work:1": (1, 1)}, cpu=0.2), seconds=2.0, rate=0.5)
    found = hotspots([one], least=0)
    assert found.samples < 1
    assert "for now: it comes of 1 sample, 100 make it reliable" in ranking(found, merge([one]))


def test_another_tools_samples_have_no_seconds():
    merging = Merging()
    stack = merging.stack([Frame("main", "a.go", 1)])
    merging.add(stack, state=ThreadState.UNKNOWN, wall=300, samples=300)
    text = report_of(merging.profile(unit=Unit.SAMPLES))
    assert "Where the samples are (300 samples)" in text
    assert "taken for samples" in text
    assert " s of profile" not in text


def test_counts_that_are_too_many_for_samples_have_no_interval():
    merging = Merging()
    stack = merging.stack([Frame("main", "a.py", 1)])
    merging.add(stack, state=ThreadState.UNKNOWN, wall=5e6, samples=5e6)
    text = report_of(merging.profile(unit=Unit.SAMPLES))
    assert "Where the counts are (5,000,000 counts)" in text
    assert "too much for samples" in text
    assert not re.search(r"\d – \d", text)
    assert "samples," not in text


def test_it_says_what_a_file_with_one_number_does_not_hold():
    def of(**told):
        merging = Merging()
        merging.add(merging.stack([Frame("main", "a.py", 1)]), **told)
        return report_of(merging.profile())

    cpu, wall = of(cpu=2.0, wall=2.0), of(wall=2.0)
    assert "It holds CPU time alone" in cpu
    assert "on the clock" not in cpu
    assert "cores" not in cpu
    assert "It holds time on the clock alone" in wall
    assert "Where the CPU time goes" not in wall
    assert "It holds" not in of(cpu=1.0, wall=2.0)


def test_escape_sequences_stay_out_of_the_terminal(window, thread):
    bad = "\x1b[2Jowned\r\n"
    merging = Merging()
    stack = merging.stack([Frame(f"f{bad}", f"/a{bad}.py", 1)])
    merging.add(stack, thread=bad, state=ThreadState.RUNNING, cpu=9.0, wall=9.0, samples=300)
    text = report_of(merging.profile(seconds=10.0, command=bad, pods=[bad]))
    assert "\x1b" not in text
    assert "\r" not in text
    assert clean("naïve café\t") == "naïve café�"


def test_paths_are_short_and_still_tell_where():
    assert short_file(f"{SITE}/flask/app.py") == "flask/app.py"
    assert short_file("/srv/shop/src/orders/cart.py") == "src/orders/cart.py"
    assert short_file("<string>") == "<string>"
