"""Real little programs to sample: each prints a line once it is at its work."""

import subprocess
import sys
import textwrap

import pytest


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """`run(source, python=…)` starts a program and waits until it has printed a line."""
    started = []
    tmp_path = tmp_path_factory.mktemp("programs")

    def start(source, python=sys.executable):
        path = tmp_path / f"program{len(started)}.py"
        path.write_text(textwrap.dedent(source))
        process = subprocess.Popen([str(python), str(path)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline(), "the program has ended at once"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


WORKS_AND_SLEEPS = """
    import threading, time

    def work():
        end = time.perf_counter() + 0.002
        while time.perf_counter() < end:
            pass

    def nap():
        time.sleep(0.004)

    def loop():
        while True:
            work()
            nap()

    def hold():
        with lock:
            lock2.acquire()

    lock, lock2 = threading.Lock(), threading.Lock()
    lock2.acquire()
    threading.Thread(target=hold, daemon=True, name="holder").start()
    print("ready", flush=True)
    loop()
"""
