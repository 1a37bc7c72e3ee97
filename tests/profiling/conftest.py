"""Windows made by hand: a few threads and stacks, of which everything is known."""

import pytest

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


def frame(text, default="/app/shop.py"):
    """A frame from `function`, `function:line` or `file:function:line`."""
    parts = text.split(":")
    file = parts[0] if len(parts) > 2 else default
    function = parts[-2] if len(parts) > 1 else parts[0]
    return Frame(function, file, int(parts[-1]) if len(parts) > 1 else 1)


def build_window(*threads, seconds=10.0, rate=20.0, started_at=1_700_000_000.0, **more):
    """A window of threads that `build_thread` has made."""
    frames, stacks, samples, made = {}, {}, [], []
    for index, (thread, seen) in enumerate(threads):
        made.append(thread)
        for stack, (count, active) in seen.items():
            parts = [frame(part) for part in stack.split(";")] if stack else []
            indices = tuple(frames.setdefault(part, len(frames)) for part in parts)
            samples.append(Samples(index, stacks.setdefault(indices, len(stacks)), count, active))
    cpu = sum(thread.cpu_seconds for thread in made)
    texts = more.pop("source", {})
    source = {index: texts[str(f.line)] for f, index in frames.items() if str(f.line) in texts}
    facts = {
        "pid": 1,
        "python_version": "3.12.1",
        "command": "python shop.py",
        "sample_count": round(seconds * rate),
        "sweeps": round(seconds * rate),
        "process": ProcessFacts(more.pop("process_cpu", cpu), cpu, 0.0, 0, 0, 1 << 26, 0),
        "container": Container(),
        "overhead": Overhead(0.003, 0.05, 1 << 24),
        **more,
    }
    return Window(
        started_at=started_at,
        seconds=seconds,
        rate=rate,
        frames=tuple(frames),
        stacks=tuple(stacks),
        threads=tuple(made),
        samples=tuple(samples),
        source=source,
        **facts,
    )


def build_thread(seen, *, cpu=0.0, runqueue=0.0, name="MainThread", tid=1, states=None, switches=0):
    """A thread, and its samples: {"root;leaf:line": (count, active)}."""
    seen = {
        key: value if isinstance(value, tuple) else (value, None) for key, value in seen.items()
    }
    thread = Thread(
        tid=tid,
        name=name,
        cpu_seconds=cpu,
        runqueue_seconds=runqueue,
        user_seconds=cpu,
        system_seconds=0.0,
        voluntary_switches=switches,
        involuntary_switches=0,
        states={ThreadState(key): value for key, value in (states or {}).items()},
    )
    return thread, seen


@pytest.fixture(scope="session")
def window():
    return build_window


@pytest.fixture(scope="session")
def thread():
    return build_thread
