"""What is ranked, how sure that is, what is left out, and whose work it is."""

import pytest

from foretide.profiling.handlers import Group, group_of
from foretide.profiling.hotspots import By, hotspots
from foretide.profiling.idle import is_idle
from foretide.profiling.shares import wilson
from foretide.profiling.window import Frame

LIB = "/usr/lib/python3.12"
SITE = "/app/.venv/lib/python3.12/site-packages"
WAIT = f"{LIB}/threading.py:wait:355"
POOL = (
    f"{LIB}/threading.py:_bootstrap:1;{LIB}/threading.py:run:2;"
    f"{LIB}/concurrent/futures/thread.py:_worker:90"
)


def frames(text):
    made = []
    for part in text.split(";"):
        file, function, line = part.split(":")
        made.append(Frame(function, file, int(line)))
    return made


def names(found):
    return [one.function.name for one in found.ranked]


def test_functions_are_ranked_by_their_own_cpu_time(window, thread):
    seen = {"main;parse:3": (120, 120), "main;parse:4": (20, 20), "main;save:9": (60, 60)}
    found = hotspots([window(thread(seen, cpu=10.0), source={"3": "  n += 1  "})])
    assert names(found) == ["parse", "save", "main"]
    first = found.ranked[0]
    assert first.self_share == pytest.approx(0.7, abs=0.01)
    assert first.interval[0] < 0.7 < first.interval[1]
    assert (first.line.line, first.code) == (3, "n += 1")
    assert first.line_share == pytest.approx(0.6, abs=0.01)
    assert found.ranked[2].total_share == pytest.approx(1.0)
    assert found.ranked[2].self_share == 0


def test_too_few_samples_rank_nothing_and_say_how_many_are_needed(window, thread):
    found = hotspots([window(thread({"main;work:1": (20, 20)}, cpu=1.0))])
    assert found.ranked == ()
    assert "record for 50 s" in found.reason


def test_a_process_that_used_no_cpu_time_has_no_hotspots(window, thread):
    found = hotspots([window(thread({"main;work:1": (200, 0)}, cpu=0.0))])
    assert "no CPU time" in found.reason


def test_of_a_librarys_function_the_line_that_it_works_for_is_told(window, thread):
    decode = f"{LIB}/json/decoder.py:decode:338"
    seen = {
        f"main:3;load:7;{decode}": (120, 120),
        f"main:4;save:9;{decode}": (60, 60),
        "main:5;own:12": (20, 20),
    }
    first, *others = hotspots([window(thread(seen, cpu=10.0))]).ranked
    assert first.function.name == "decode"
    assert (first.caller.function, first.caller.line) == ("load", 7)
    assert all(one.caller is None for one in others)


def test_windows_that_differ_make_a_share_less_sure(window, thread):
    def several(shares):
        return [
            window(
                thread(
                    {"a:1": (int(200 * s), int(200 * s)), "b:2": (200 - int(200 * s),) * 2},
                    cpu=10.0,
                )
            )
            for s in shares
        ]

    steady = hotspots(several([0.5] * 10)).ranked[0].interval
    wild = hotspots(several([0.1, 0.9] * 5)).ranked[0].interval
    assert wild[1] - wild[0] > 3 * (steady[1] - steady[0])


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Wilson's interval of 50 draws, over all outcomes: 95 % by and large, never far below."""
    from math import comb

    for share in (0.05, 0.2, 0.5):
        covered = sum(
            comb(50, k) * share**k * (1 - share) ** (50 - k)
            for k in range(51)
            if wilson(k / 50, 50)[0] <= share <= wilson(k / 50, 50)[1]
        )
        assert 0.92 < covered < 0.99


def test_the_pareto_share_is_of_this_workload(window, thread):
    seen = {f"main;f{n}:{n + 1}": (2, 2) for n in range(9)} | {"main;hot:20": (182, 182)}
    pareto = hotspots([window(thread(seen, cpu=10.0))]).pareto
    assert (pareto.few, pareto.functions) == (1, 11)


def test_idle_pools_are_left_out_of_the_wall_clock(window, thread):
    main = thread({"main;fetch:5": (200, 10)}, cpu=0.1)
    pool = [
        thread({POOL: (200, 0)}, name=f"ThreadPoolExecutor-0_{n}", tid=2 + n) for n in range(20)
    ]
    found = hotspots([window(main, *pool, source={"5": "sock.recv(1)"})], By.WALL)
    assert names(found)[0] == "fetch"
    assert found.ranked[0].self_share == pytest.approx(1.0)
    assert found.idle_seconds == pytest.approx(200.0)


PIPE = f"{LIB}/multiprocessing/connection.py"
IDLE = {
    "a pool's thread": POOL,
    "a worker of one's own": f"/app/w.py:work:9;{LIB}/queue.py:get:171;{WAIT}",
    "a server": f"/app/s.py:m:1;{LIB}/socketserver.py:serve_forever:2;{LIB}/selectors.py:select:3",
    "an event loop": f"/app/s.py:m:1;{LIB}/asyncio/base_events.py:_run_once:9;"
    f"{LIB}/selectors.py:select:3",
    "the main thread at the end": f"/app/s.py:m:1;{LIB}/threading.py:join:5;"
    f"{LIB}/threading.py:_wait_for_tstate_lock:3",
    "a process that waits for its next task": f"/app/w.py:work:9;{LIB}/multiprocessing/queues.py:"
    f"Queue.get:103;{PIPE}:Connection.recv_bytes:216;{PIPE}:Connection._recv:395",
    "a server that accepts": f"/app/s.py:m:1;{LIB}/socket.py:accept:293",
}
NOT_IDLE = {
    "a lock": f"{POOL};/app/w.py:work:9;{WAIT}",
    "an answer": f"{POOL};/app/w.py:work:9;{LIB}/socket.py:readinto:700",
    "a wait for a socket in a library": f"/app/s.py:m:1;{SITE}/urllib3/util/wait.py:poll:9;"
    f"{LIB}/selectors.py:select:3",
    "an answer of another process": f"/app/w.py:ask:9;{PIPE}:Connection.recv:250;"
    f"{PIPE}:Connection._recv:395",
    "a task that is unpacked": f"/app/w.py:work:9;{LIB}/multiprocessing/queues.py:Queue.get:122;"
    "/app/task.py:Task.__setstate__:3",
    "somebody's own queue": "/app/w.py:work:9;/app/queue.py:get:3",
    "work in an event loop": f"{LIB}/asyncio/base_events.py:_run_once:9;/app/a.py:job:3",
}


@pytest.mark.parametrize("what", IDLE)
def test_threads_that_wait_for_work_are_idle(what):
    assert is_idle(frames(IDLE[what]))


@pytest.mark.parametrize("what", NOT_IDLE)
def test_threads_that_wait_in_the_middle_of_their_work_are_not(what):
    assert not is_idle(frames(NOT_IDLE[what]))


def test_names_with_their_class_as_python_3_11_tells_them_are_known():
    run = f"{LIB}/concurrent/futures/thread.py:_WorkItem.run:58;/app/jobs.py:Images.resize:3"
    assert group_of(frames(run)) == Group("task", "Images.resize", "/app/jobs.py")
    view = f"{SITE}/flask/app.py:Flask.dispatch_request:2;/app/shop.py:Checkout.get:3"
    assert group_of(frames(view)) == Group("Flask", "Checkout.get", "/app/shop.py")
    get = (
        f"/app/w.py:Worker.run:9;{LIB}/queue.py:Queue.get:171;{LIB}/threading.py:Condition.wait:355"
    )
    assert is_idle(frames(get))


def test_a_simple_queue_is_known_by_the_line():
    stack = frames("/app/w.py:work:9")
    assert is_idle(stack, "job = self._queue.get()")
    assert not is_idle(stack, "time.sleep(5)")


HANDLED = {
    "flask": (
        f"{LIB}/wsgiref/handlers.py:run:1;{SITE}/flask/app.py:wsgi_app:1;"
        f"{SITE}/flask/app.py:dispatch_request:2;/app/shop.py:checkout:3;/app/db.py:load:4",
        Group("Flask", "checkout", "/app/shop.py"),
    ),
    "django": (
        f"{SITE}/gunicorn/workers/sync.py:handle_request:1;"
        f"{SITE}/django/core/handlers/base.py:_get_response:2;"
        f"{SITE}/django/views/decorators/csrf.py:_wrapper_view:3;"
        f"{SITE}/django/views/generic/base.py:view:4;{SITE}/django/views/generic/base.py:dispatch:5;"
        "/app/views.py:get:6",
        Group("Django", "get", "/app/views.py"),
    ),
    "fastapi": (
        f"{LIB}/asyncio/base_events.py:_run_once:1;{SITE}/starlette/routing.py:app:2;"
        f"{SITE}/fastapi/routing.py:app:3;{SITE}/fastapi/routing.py:run_endpoint_function:4;"
        "/app/api.py:items:5",
        Group("FastAPI", "items", "/app/api.py"),
    ),
    "a task of a pool": (
        f"{POOL};{LIB}/concurrent/futures/thread.py:run:58;/app/jobs.py:resize:3",
        Group("task", "resize", "/app/jobs.py"),
    ),
    "celery": (
        f"{SITE}/celery/app/trace.py:trace_task:1;"
        f"{SITE}/celery/app/trace.py:__protected_call__:2;/app/tasks.py:mail:3",
        Group("Celery", "mail", "/app/tasks.py"),
    ),
}


@pytest.mark.parametrize("what", HANDLED)
def test_work_is_the_handlers_that_it_is_done_for(what):
    stack, group = HANDLED[what]
    assert group_of(frames(stack), "Thread-*") == group


def test_other_work_is_its_pools(window, thread):
    workers = [thread({"loop:1": (100, 100)}, cpu=4.0, name=f"resize_{n}", tid=n) for n in (1, 2)]
    main = thread({"main:1": (100, 100)}, cpu=2.0, tid=9)
    found = hotspots([window(*workers, main)])
    assert [(one.group.kind, one.group.name) for one in found.groups] == [
        ("pool", "resize_*"),
        ("thread", "MainThread"),
    ]
    assert found.groups[0].share == pytest.approx(0.8)
    assert found.groups[0].top.name == "loop"
