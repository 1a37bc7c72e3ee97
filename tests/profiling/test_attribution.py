"""Costs add up to what was measured, count recursion once, and do not charge lines that sleep."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.profiling.attribution import Function, attribute, attribute_each
from foretide.profiling.leaves import Leaf, leaf_of, read_line
from foretide.profiling.window import Frame


def cost(costs, name, file="/app/shop.py"):
    return costs.functions[Function(file, name)]


def test_cpu_is_what_was_measured_and_not_what_was_counted(window, thread):
    """Half of a thread's samples are active, but it used one of ten seconds."""
    costs = attribute(window(thread({"main;work:10": (200, 100)}, cpu=1.0)))
    assert cost(costs, "work").self_cpu == pytest.approx(1.0)
    assert cost(costs, "main").total_cpu == pytest.approx(1.0)
    assert cost(costs, "main").self_cpu == 0
    assert cost(costs, "work").self_wall == pytest.approx(10.0)


def test_a_line_that_sleeps_is_charged_no_cpu_however_active_it_looked(window, thread):
    seen = {"main;work:10": (30, 14), "main:11": (170, 60)}
    costs = attribute(
        window(thread(seen, cpu=2.0), source={"10": "total += i", "11": "time.sleep(0.004)"})
    )
    assert cost(costs, "work").self_cpu == pytest.approx(2.0, rel=0.02)
    assert cost(costs, "main").self_wall == pytest.approx(8.0, rel=0.02)


def test_a_sampler_that_looks_when_the_target_sleeps_does_not_bias_the_wall_clock(window, thread):
    """Four seconds of ten on the CPU, but only a quarter of the samples there."""
    seen = {"main;work:10": (50, 40), "main:11": (150, 8)}
    costs = attribute(window(thread(seen, cpu=4.0), source={"11": "time.sleep(0.01)"}))
    assert cost(costs, "work").self_wall == pytest.approx(4.0, rel=0.02)
    assert cost(costs, "main").self_wall == pytest.approx(6.0, rel=0.02)


def test_without_source_a_line_is_charged_for_as_often_as_it_was_active(window, thread):
    seen = {"main;work:10": (60, 50), "main;wait:11": (140, 5)}
    costs = attribute(window(thread(seen, cpu=3.0)))
    assert cost(costs, "wait").self_cpu == pytest.approx(3.0 * 5 / 55, rel=0.25)


def test_threads_are_scaled_each_by_itself(window, thread):
    busy = thread({"main;a:1": (200, 200)}, cpu=9.0, tid=1)
    lazy = thread({"main;b:2": (200, 200)}, cpu=0.5, tid=2)
    costs = attribute(window(busy, lazy))
    assert cost(costs, "a").self_cpu == pytest.approx(9.0)
    assert cost(costs, "b").self_cpu == pytest.approx(0.5)


def test_a_call_that_frees_the_gil_counts_for_more_than_lines_that_wait_for_it(window, thread):
    seen = {"main;python:1": (100, 25), "main;native:2": (100, 100)}
    costs = attribute(window(thread(seen, cpu=6.0), source={"1": "x += 1", "2": "crunch(data)"}))
    assert cost(costs, "native").self_cpu > 3 * cost(costs, "python").self_cpu


def test_a_line_that_reads_a_socket_is_charged_for_what_it_copies(window, thread):
    seen = {"main;read:1": (100, 60), "main;parse:2": (100, 95)}
    source = {"1": "data = sock.recv(1 << 20)", "2": "n += 1"}
    costs = attribute(window(thread(seen, cpu=8.0), source=source))
    assert 2.0 < cost(costs, "read").self_cpu < 4.0


def test_recursion_counts_once(window, thread):
    costs = attribute(window(thread({"main;walk:5;walk:5;walk:6": (200, 200)}, cpu=10.0)))
    assert cost(costs, "walk").total_cpu == pytest.approx(10.0)
    assert costs.lines[Frame("walk", "/app/shop.py", 5)].total_cpu == pytest.approx(10.0)
    assert costs.lines[Frame("walk", "/app/shop.py", 5)].self_cpu == 0


def test_a_thread_that_lived_for_a_part_of_the_window_has_that_part_of_the_wall_clock(
    window, thread
):
    costs = attribute(window(thread({"main;work:1": (20, 20)}, cpu=1.0)))
    assert costs.wall_seconds == pytest.approx(1.0)


def test_cpu_of_threads_that_no_sample_saw_is_told_apart(window, thread):
    costs = attribute(window(thread({"main": (200, 200)}, cpu=1.0), process_cpu=3.5))
    assert costs.native_cpu_seconds == pytest.approx(2.5)


def test_windows_are_read_with_what_all_have_shown(window, thread):
    """Two samples of one window would not tell that a line waits; forty windows do."""
    clear = window(thread({"main;work:1": (100, 95), "main;wait:2": (100, 1)}, cpu=5.0))
    thin = window(thread({"main;work:1": (2, 2), "main;wait:2": (2, 1)}, cpu=0.05))
    costs = attribute_each([*[clear] * 5, thin])[-1]
    assert cost(costs, "wait").self_cpu < 0.01


def test_going_to_sleep_has_its_price_but_no_more_than_the_kernels_own_time(window, thread):
    made, seen = thread({"main;work:1": (100, 100), "main:2": (100, 0)}, cpu=5.0, switches=2000)
    made = replace(made, user_seconds=4.97, system_seconds=0.03)
    costs = attribute(window((made, seen), source={"2": "time.sleep(0.001)"}))
    assert cost(costs, "main").self_cpu == pytest.approx(0.03)


def test_a_thread_that_is_woken_and_waits_for_a_core_has_not_begun_to_work(window, thread):
    """The sweeps saw it runnable half of the time, the samples active a tenth of it."""
    states = {"running": 100, "sleep": 100}
    seen = {"main;work:1": (20, 20), "main:2": (180, 0)}
    one = thread(seen, cpu=1.0, runqueue=4.0, states=states)
    costs = attribute(window(one, source={"2": "time.sleep(0.001)"}))
    assert cost(costs, "work").self_wall == pytest.approx(1.0, abs=0.1)
    assert cost(costs, "work").self_cpu == pytest.approx(1.0)


def test_a_thread_that_was_never_seen_at_work_spent_its_time_as_its_kin_did(window, thread):
    """Its few samples are all of its wait, but it used half a second."""
    rich = thread({"run;work:1": (90, 90), "run;wait:2": (110, 0)}, cpu=4.0, name="job_1", tid=1)
    poor = thread({"run;wait:2": (6, 0)}, cpu=0.5, name="job_2", tid=2)
    other = thread({"main;elsewhere:3": (50, 50)}, cpu=1.0, name="Main", tid=3)
    costs = attribute(window(rich, poor, other, source={"2": "queue.get()"}))
    assert cost(costs, "work").self_cpu == pytest.approx(4.5)
    assert cost(costs, "elsewhere").self_cpu == pytest.approx(1.0)
    assert costs.cpu_seconds == pytest.approx(5.5)


def test_a_window_with_hardly_a_sample_at_work_is_read_by_the_others(window, thread):
    seen = {"run;work:1": (90, 90), "run;wait:2": (110, 0)}
    source = {"2": "queue.get()"}
    full = window(thread(seen, cpu=4.0), source=source)
    thin = window(thread({"run;wait:2": (6, 0)}, cpu=0.5), source=source, sample_count=6)
    assert cost(attribute([full, thin]), "work").self_cpu == pytest.approx(4.5)
    assert cost(attribute(thin), "wait").self_cpu == pytest.approx(0.5)


STACKS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=8).map(
    lambda parts: ";".join(f"{part}:{ord(part)}" for part in parts)
)
SEEN = st.dictionaries(
    STACKS, st.integers(1, 50).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
)


# A busy machine is slow, and that is no failure.
@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(seen=SEEN, cpu=st.floats(0, 10), runqueue=st.floats(0, 3))
def test_costs_add_up_whatever_was_seen(window, thread, seen, cpu, runqueue):
    costs = attribute(window(thread(seen, cpu=cpu, runqueue=runqueue)))
    if not seen:
        assert costs.cpu_seconds == 0
        return
    assert costs.cpu_seconds == pytest.approx(cpu)
    for table in (costs.functions, costs.lines):
        assert sum(one.self_cpu for one in table.values()) == pytest.approx(cpu)
        assert sum(one.self_wall for one in table.values()) == pytest.approx(costs.wall_seconds)
        for one in table.values():
            assert -1e-9 <= one.self_cpu <= one.total_cpu + 1e-9
            assert one.total_cpu <= cpu + 1e-6
            assert one.total_wall <= costs.wall_seconds + 1e-6
            assert one.self_cpu <= one.self_wall + 1e-6


@pytest.mark.parametrize(
    ("text", "leaf"),
    [
        ("time.sleep(0.01)", Leaf.SLEEPS),
        ("sleep(max(0, end - time.time()))", Leaf.SLEEPS),
        ("with self._lock:", Leaf.LOCKS),
        ("fcntl.flock(file, fcntl.LOCK_EX)", Leaf.LOCKS),
        ("job = queue.get()", Leaf.LOCKS),
        ("thread.join()", Leaf.LOCKS),
        ('text = ",".join(parts)', Leaf.UNKNOWN),
        ("value = settings.get(name)", Leaf.UNKNOWN),
        ("events = self._selector.select(timeout)", Leaf.POLLS),
        ("data = sock.recv(4096)", Leaf.NETWORK),
        ("os.fsync(fd)", Leaf.FILE),
        ("total += i * i", Leaf.WORKS),
        ("return zlib.compress(data)", Leaf.UNKNOWN),
        ("crunch(queue.get())", Leaf.UNKNOWN),
        ('log("time.sleep(1)")', Leaf.UNKNOWN),
        ("x = 1  # time.sleep(1)", Leaf.WORKS),
        ("", Leaf.UNKNOWN),
    ],
)
def test_a_line_tells_what_it_waits_for(text, leaf):
    assert read_line(text) is leaf


@pytest.mark.parametrize(
    ("file", "function", "leaf"),
    [
        ("/usr/lib/python3.11/threading.py", "wait", Leaf.LOCKS),
        ("/opt/py/lib/python3.13/concurrent/futures/thread.py", "_worker", Leaf.LOCKS),
        ("selectors.py", "select", Leaf.POLLS),
        ("/app/queue.py", "get", Leaf.UNKNOWN),
        ("/usr/lib/python3.11/site-packages/eventlet/queue.py", "get", Leaf.UNKNOWN),
    ],
)
def test_functions_that_exist_to_wait_are_known_by_their_file(file, function, leaf):
    assert leaf_of(Frame(function, file, 10)) is leaf
