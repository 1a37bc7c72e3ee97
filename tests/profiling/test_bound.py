"""What a workload is bound by, over windows of which everything is known."""

from dataclasses import replace

import pytest

from foretide.profiling.bound import Kind, bound
from foretide.profiling.window import Container, Peer, Pressure

LIBRARY = "/usr/lib/python3.12"
QUEUE = f"{LIBRARY}/threading.py:_bootstrap:1;worker:2;{LIBRARY}/queue.py:get:171"
WAIT_IN_QUEUE = f"{QUEUE};{LIBRARY}/threading.py:wait:355"
SEMAPHORE = f"handle:7;{LIBRARY}/threading.py:acquire:499;{LIBRARY}/threading.py:wait:355"
SELECT = f"main:1;{LIBRARY}/asyncio/base_events.py:_run_once:9;{LIBRARY}/selectors.py:select:468"
READ = f"{LIBRARY}/socket.py:readinto:707"
NEXT_REQUEST = f"{LIBRARY}/http/server.py:handle_one_request:404;{READ}"
ANSWER = f"{LIBRARY}/http/server.py:handle_one_request:424;do_GET:9;ask:12;{READ}"


@pytest.fixture
def waits(thread):
    """A thread that is in one state nearly all the time."""

    def make(state, stack, tid=1, cpu=0.02, peers=None, **more):
        made, seen = thread({stack: 200}, cpu=cpu, tid=tid, states={state: 200}, **more)
        return replace(made, peers=peers or {}), seen

    return make


@pytest.fixture
def parked(waits):
    return [waits("lock", WAIT_IN_QUEUE, tid=100 + number) for number in range(8)]


def kind(*windows):
    return bound(windows).kind


def test_one_busy_thread_is_bound_by_the_cpu_however_many_wait_for_orders(window, thread, parked):
    busy = thread({"main:1;work:2": 200}, cpu=9.7, states={"running": 200})
    assert kind(window(busy, *parked)) is Kind.CPU


@pytest.mark.parametrize(("stopped", "found"), [(150, Kind.UNKNOWN), (60, Kind.GIL), (0, Kind.GIL)])
def test_what_a_signal_has_stopped_is_bound_by_nothing_and_told(window, thread, stopped, found):
    threads = []
    for tid in range(4):
        made, seen = thread(
            {"work:2": 200},
            cpu=2.4 * (1 - stopped / 200),
            tid=tid,
            states={
                "gil": 150 - 3 * stopped // 4,
                "running": 50 - stopped // 4,
                "other": stopped,
            },
        )
        calls = {"S futex futex_do_wait": 200 - stopped, "T - do_signal_stop": stopped}
        threads.append((replace(made, calls=calls), seen))
    verdict = bound([window(*threads)])
    assert verdict.kind is found
    assert any("stopped by a signal" in one for one in verdict.evidence) is (stopped > 0)


def test_a_busy_machine_does_not_make_a_program_less_bound_by_the_cpu(window, thread):
    busy = thread({"work:2": 200}, cpu=4.0, runqueue=5.8, states={"running": 200})
    assert kind(window(busy)) is Kind.CPU


def test_threads_that_share_the_gil_are_bound_by_it(window, thread):
    threads = [
        thread({"work:2": 200}, cpu=2.4, tid=tid, states={"gil": 150, "running": 50})
        for tid in range(4)
    ]
    assert kind(window(*threads)) is Kind.GIL


def test_the_gil_decides_though_more_threads_wait_for_an_upstream(window, thread, waits):
    working = [
        thread({"work:2": 200}, cpu=4.8, tid=tid, states={"gil": 100, "running": 100})
        for tid in range(2)
    ]
    asking = [waits("network", ANSWER, tid=10 + n, peers={Peer.UPSTREAM: 200}) for n in range(6)]
    assert kind(window(*working, *asking)) is Kind.GIL


@pytest.mark.parametrize("stack", ["main:1;update:8", SEMAPHORE])
def test_waiting_for_a_lock_or_a_semaphore_is_bound_by_a_lock(stack, window, waits):
    assert kind(window(*(waits("lock", stack, tid=n) for n in range(5)))) is Kind.LOCK


def test_workers_without_orders_are_idle_though_they_wait_like_those_at_a_lock(window, parked):
    assert kind(window(*parked)) is Kind.IDLE


@pytest.mark.parametrize(
    "waiting",
    [
        f"app.py:consume:7;{LIBRARY}/threading.py:Condition.wait:355",
        f"{LIBRARY}/multiprocessing/queues.py:Queue._feed:251;"
        f"{LIBRARY}/threading.py:Condition.wait:355",
    ],
)
def test_a_threads_own_function_that_waits_for_a_condition_is_idle(waiting, window, waits):
    """What has started the thread is in the same file as the wait, and is no part of it."""
    started = ";".join(
        f"{LIBRARY}/threading.py:Thread.{name}:9"
        for name in ("_bootstrap", "_bootstrap_inner", "run")
    )
    assert kind(window(waits("lock", f"{started};{waiting}"))) is Kind.IDLE


def test_a_process_that_waits_for_its_next_task_is_idle_and_for_an_answer_is_not(window, waits):
    pipe = f"{LIBRARY}/multiprocessing/connection.py"
    reading = f"{pipe}:Connection.recv_bytes:216;{pipe}:Connection._recv:395"
    task = f"work:9;{LIBRARY}/multiprocessing/queues.py:Queue.get:103;{reading}"
    assert kind(window(waits("network", task, peers={Peer.LOCAL: 200}))) is Kind.IDLE
    asked = waits("network", f"ask:9;{reading}", peers={Peer.LOCAL: 200}, switches=100)
    assert kind(window(asked)) is Kind.NETWORK_IO


def test_functions_are_known_by_what_they_stand_in_too(window, waits):
    """As py-spy tells them from Python 3.11 on."""
    get = f"worker:2;{LIBRARY}/queue.py:Queue.get:171;{LIBRARY}/threading.py:Condition.wait:355"
    held = (
        f"work:2;{LIBRARY}/threading.py:Semaphore.acquire:4;{LIBRARY}/threading.py:Condition.wait:9"
    )
    assert kind(window(waits("lock", get))) is Kind.IDLE
    assert kind(window(waits("lock", held))) is Kind.LOCK


def test_waiting_for_an_answer_is_bound_by_the_network_and_for_a_request_is_idle(window, waits):
    assert kind(window(waits("network", ANSWER))) is Kind.NETWORK_IO
    assert kind(window(waits("network", NEXT_REQUEST))) is Kind.IDLE


@pytest.mark.parametrize(
    ("peer", "switches", "expected"),
    [
        (Peer.UPSTREAM, 400, Kind.NETWORK_IO),
        (Peer.UPSTREAM, 0, Kind.IDLE),  # a connection that is kept, and not used
        (Peer.CLIENT, 400, Kind.IDLE),
        (Peer.LISTENER, 3, Kind.IDLE),
        (Peer.LOCAL, 20, Kind.IDLE),
    ],
)
def test_an_event_loop_is_told_by_whom_it_waits_for(peer, switches, expected, window, waits):
    loop = waits("poll", SELECT, cpu=0.3, peers={peer: 200}, switches=switches)
    assert kind(window(loop)) is expected


def test_an_event_loop_that_wakes_up_without_known_sockets_is_unknown_with_the_reason(
    window, waits
):
    found = bound([window(waits("poll", SELECT, cpu=0.6, switches=500))])
    assert found.kind is Kind.UNKNOWN
    assert "cannot be seen from outside" in found.evidence[0]


def test_sockets_with_a_time_limit_are_polled_and_bound_by_the_network_all_the_same(window, waits):
    assert kind(window(waits("poll", ANSWER, switches=200))) is Kind.NETWORK_IO


@pytest.mark.parametrize("state", ["child", "network"])
def test_waiting_for_a_child_limits_nothing_whether_by_its_end_or_its_output(state, window, waits):
    stack = f"main:1;{LIBRARY}/subprocess.py:run:548;{LIBRARY}/subprocess.py:communicate:1196"
    peers = {Peer.LOCAL: 200} if state == "network" else {}
    assert kind(window(waits(state, stack, peers=peers, switches=200))) is Kind.IDLE


def test_a_pipe_that_holds_a_program_up_is_not_called_the_network(window, waits):
    writes = waits("network", f"log:3;{LIBRARY}/logging/__init__.py:flush:1137", switches=200)
    at_pipe = (replace(writes[0], peers={Peer.LOCAL: 200}), writes[1])
    assert "waited at pipes" in bound([window(at_pipe)]).evidence[0]
    asked = waits("network", ANSWER, peers={Peer.UPSTREAM: 200}, switches=200)
    assert "from the network" in bound([window(asked)]).evidence[0]


def test_a_client_that_reads_slowly_holds_up_and_one_that_asks_nothing_does_not(window, waits):
    made, seen = waits("network", "handle:9", peers={Peer.CLIENT: 200}, switches=200)
    sends = replace(made, calls={"S sendto sk_stream_wait_memory": 200})
    reads = replace(made, calls={"S recvfrom wait_woken": 200})
    found = bound([window((sends, seen))])
    assert found.kind is Kind.NETWORK_IO
    assert "for clients to read" in found.evidence[0]
    assert kind(window((reads, seen))) is Kind.IDLE


def test_waiting_in_a_file_is_bound_by_the_disk(window, waits):
    assert kind(window(waits("disk", "main:1;save:3"))) is Kind.DISK_IO


def test_the_kernels_own_time_in_files_belongs_to_the_disk(window, thread):
    made, seen = thread({"save:3": 200}, cpu=7.0, states={"running": 150, "disk": 50})
    made = replace(made, user_seconds=0.5, system_seconds=6.5)
    assert kind(window((made, seen))) is Kind.DISK_IO


def test_a_quota_that_stops_the_program_is_throttling(window, thread):
    busy = thread({"work:2": 200}, cpu=2.5, runqueue=7.4, states={"running": 200})
    container = Container(1, 0.25, 2.5, periods=100, throttled_periods=98, throttled_seconds=7.4)
    found = bound([window(busy, container=container)])
    assert found.kind is Kind.THROTTLING
    assert "98 of 100 periods" in found.evidence[0]


def test_a_few_throttled_periods_are_no_throttling(window, thread):
    busy = thread({"work:2": 200}, cpu=9.5, states={"running": 200})
    container = Container(1, 1.0, 9.5, periods=100, throttled_periods=3, throttled_seconds=0.05)
    assert kind(window(busy, container=container)) is Kind.CPU


def _faulting(made, container, faults):
    process = replace(made.process, major_faults=faults)
    return replace(made, container=container, process=process)


def test_memory_pressure_is_told_on_both_versions_of_control_groups(window, waits):
    made = window(waits("disk", "main:1;look:3"))
    first = Container(1, memory_limit=100, memory_working=95, memory_events=4_000)
    second = Container(2, pressure=Pressure(memory_some=4.0, memory_full=3.0))
    assert kind(_faulting(made, first, 5_000)) is Kind.MEMORY_PRESSURE
    assert kind(_faulting(made, second, 0)) is Kind.MEMORY_PRESSURE


def test_a_writer_that_fills_its_limit_with_files_is_not_short_of_memory(window, waits):
    made = window(waits("disk", "main:1;save:3"))
    container = Container(1, memory_limit=100, memory_working=20, memory_events=90_000)
    assert kind(_faulting(made, container, 1)) is Kind.DISK_IO


@pytest.mark.parametrize(
    ("refaults", "expected"), [(9_000, Kind.MEMORY_PRESSURE), (200, Kind.DISK_IO)]
)
def test_reads_of_what_was_pushed_out_of_memory_are_no_slow_disk(window, waits, refaults, expected):
    """Read by calls, not by page faults; a file that is read for the first time is not that."""
    made = window(waits("disk", "main:1;look:3"))
    container = Container(1, memory_limit=100, memory_events=4_000, refaults=refaults)
    process = replace(made.process, read_bytes=10_000 * 4096)
    assert kind(replace(made, process=process, container=container)) is expected


def test_few_looks_are_unknown_and_say_how_many_are_needed(window, thread):
    busy = thread({"work:2": 5}, cpu=0.3, states={"running": 5})
    found = bound([window(busy, seconds=0.3, sweeps=5)])
    assert found.kind is Kind.UNKNOWN
    assert found.evidence[0] == "only 5 looks at the process, 10 are needed"


def test_no_windows_are_unknown():
    assert kind() is Kind.UNKNOWN


def test_a_mix_without_a_leader_is_unknown(window, thread, waits):
    mixed = [
        waits("disk", "save:3", tid=1),
        waits("network", ANSWER, tid=2),
        waits("lock", "update:8", tid=3),
    ]
    assert kind(window(*mixed)) is Kind.UNKNOWN


def test_on_a_busy_machine_a_wait_for_locks_is_believed_before_work(window, thread):
    threads = [
        thread(
            {"main:1;update:8": 200},
            cpu=1.6,
            runqueue=7.0,
            tid=tid,
            states={"lock": 28, "running": 172},
        )
        for tid in range(4)
    ]
    source = {"8": "with lock:"}
    assert kind(window(*threads, source=source)) is Kind.LOCK


def test_confidence_grows_with_looks(window, waits):
    one = window(waits("disk", "save:3"))
    assert bound([one] * 6).confidence > bound([one]).confidence > 0.5
