"""The sampler's process in a pod: orders, turns, and what it says. Its sampling is a double."""

import os
import queue
import subprocess
import sys
import threading
import uuid

import pytest

from foretide.profiling import resident
from foretide.profiling.events import Event, Kind, read_events, to_line
from foretide.profiling.orders import Order, SamplingRefused
from foretide.profiling.resident import Resident


class Double:
    """Samples at command: says what it was asked, and goes on until it is interrupted or told."""

    def __init__(self):
        self.asked = queue.Queue()
        self.refusal = None
        self.endless = False

    def __call__(self, order, interrupt):
        self.asked.put(order)
        if self.refusal:
            raise self.refusal
        yield f"window of {order.run}"
        if self.endless:
            assert interrupt.wait(20)


@pytest.fixture
def sampling():
    return Double()


@pytest.fixture
def said():
    return []


@pytest.fixture
def it(sampling, said):
    return Resident(sampling, said.append, clock=lambda: 100.0)


def kinds(said):
    return [event.kind for event in read_events(said)]


def test_it_samples_tells_and_waits_for_no_longer_than_it_may(it, said):
    it.serve(Order(run="one"), idle=0.01)
    assert said[1] == "window of one"
    assert kinds(said) == [Kind.BEGAN, Kind.DONE, Kind.ENDED]


def test_that_it_cannot_look_is_said_with_the_reason(it, sampling, said):
    sampling.refusal = SamplingRefused("Yama", "ptrace_scope is 1")
    it.serve(Order(run="one"), idle=0.01)
    told = [event for event in read_events(said) if event.kind is Kind.REFUSED]
    assert told == [Event(Kind.REFUSED, 100.0, "one", "Yama", "ptrace_scope is 1")]
    assert Kind.DONE not in kinds(said)


@pytest.fixture
def serving(it, sampling):
    """The resident at work, with its socket."""
    sampling.endless = True
    name = f"\0foretide-test-{uuid.uuid4()}"
    thread = threading.Thread(target=it.serve, args=(Order(run="one"),), kwargs={"idle": 30})
    with resident.listen(it, Order(labels={"pod": "shop-1"}), name):
        thread.start()
        yield name, thread
        it.end()
        thread.join(20)
    assert not thread.is_alive()


def test_an_order_takes_the_place_of_what_is_being_done(serving, sampling, said):
    name, _ = serving
    assert sampling.asked.get(timeout=20).run == "one"
    assert resident.send('{"run": "two", "seconds": 5, "rate": 10}', name) == "ok"
    second = sampling.asked.get(timeout=20)
    assert (second.run, second.seconds, second.rate) == ("two", 5.0, 10.0)
    assert second.labels == {"pod": "shop-1"}
    assert [event.run for event in read_events(said) if event.kind is Kind.DONE] == []


def test_it_ends_when_it_is_told_to(serving, sampling, said):
    name, thread = serving
    sampling.asked.get(timeout=20)
    assert resident.send("end", name) == "ok"
    thread.join(20)
    assert kinds(said)[-1] is Kind.ENDED


@pytest.mark.parametrize("text", ["", "[]", '{"run": 1, "command": "x"}', '{"seconds": -1}', "{"])
def test_what_is_no_order_is_refused_and_changes_nothing(serving, sampling, text):
    name, _ = serving
    sampling.asked.get(timeout=20)
    if text:
        assert resident.send(text, name).startswith("refused: ")
    assert sampling.asked.empty()


def test_it_samples_while_it_is_its_turn_and_the_container_that_it_is_told(it, sampling, said):
    turns = iter([(90.0, ""), (130.0, "abc"), (103.0, "abc")])

    def turn():
        try:
            return next(turns)
        except StopIteration:
            it.end()
            return 0.0, ""

    it._interrupt.wait = lambda seconds: False  # nobody waits in a test
    it.take_turns(Order(run="r", window=10.0), turn)
    asked = [sampling.asked.get_nowait() for _ in range(2)]
    assert [(order.seconds, order.container_id) for order in asked] == [(10.0, "abc"), (3.0, "abc")]
    assert kinds(said) == [Kind.ENDED]


@pytest.mark.parametrize(
    ("text", "turn"),
    [
        ("1764.5 abc\n", (1764.5, "abc")),
        ("1764", (1764.0, "")),
        ("", (0.0, "")),
        ("soon", (0.0, "")),
    ],
)
def test_a_turn_is_read_from_the_annotation(tmp_path, text, turn):
    (tmp_path / "until").write_text(text)
    assert resident.read_turn(tmp_path / "until") == turn
    assert resident.read_turn(tmp_path / "none") == (0.0, "")


def test_events_come_back_from_a_log_of_many_things():
    event = Event(Kind.USER, 1.5, uid=0, gid=0)
    lines = ["hello", f"2026 {to_line(event)}", to_line(event)[:-5], "FORETIDE-EVENT {}"]
    assert list(read_events(lines)) == [event]


def test_an_event_of_a_kind_that_is_not_known_yet_is_passed_over():
    assert list(read_events(['FORETIDE-EVENT {"kind": "new", "at": 1}'])) == []


def process(folder, pid, parent, uid):
    (folder / str(pid)).mkdir()
    (folder / str(pid) / "stat").write_text(f"{pid} (a b) S {parent} 1")
    (folder / str(pid) / "status").write_text(f"Uid:\t{uid}\t{uid}\nGid:\t{uid + 1}\t{uid + 1}\n")


def test_the_applications_user_is_that_of_the_first_process_that_is_not_ours(tmp_path):
    process(tmp_path, os.getpid(), 0, 5)
    process(tmp_path, 4_000_000, 0, 33)
    assert resident.owner_of_others(tmp_path) == (33, 34)


def test_alone_nobodys_user_is_seen(tmp_path):
    process(tmp_path, os.getpid(), 0, 5)
    assert resident.owner_of_others(tmp_path) is None


def test_it_runs_by_the_standard_library_alone():
    code = (
        "import sys, foretide.profiling.resident, foretide.profiling.events;"
        "print([m for m in sys.modules if 'site-packages' in"
        " (getattr(sys.modules[m], '__file__', None) or '')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_a_resident_an_order_is_refused_and_not_left_hanging():
    done = subprocess.run(
        [sys.executable, "-m", "foretide.profiling.resident", "--order", "end"],
        capture_output=True,
        text=True,
        env={**os.environ, "FORETIDE_POD": str(uuid.uuid4())},
    )
    assert done.returncode == 1
    assert done.stdout.startswith("refused: ")
