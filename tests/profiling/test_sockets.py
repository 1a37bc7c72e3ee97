"""Of a socket that a thread waits for: is it an answer that it waits for, or something to do?"""

import os
import select
import socket
import threading
import time

import pytest

from foretide.profiling.sampler.sockets import Sockets
from foretide.profiling.sampler.syscalls import NAMES
from foretide.profiling.window import Peer


@pytest.fixture
def connected():
    """A listener, the end that has connected, and the end that was accepted."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        with made, accepted:
            yield listener, made, accepted


@pytest.fixture
def sockets():
    return Sockets(os.getpid())


def test_connections_are_told_by_who_made_them(connected, sockets):
    told = [sockets.peer_of(one.fileno()) for one in connected]
    assert told == [Peer.LISTENER, Peer.UPSTREAM, Peer.CLIENT]


def test_unix_connections_are_told_by_who_made_them(tmp_path, sockets):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as made:
        listener.bind(path)
        listener.listen()
        made.connect(path)
        accepted, _ = listener.accept()
        with accepted:
            assert sockets.peer_of(listener.fileno()) is Peer.LISTENER
            assert sockets.peer_of(accepted.fileno()) is Peer.CLIENT


def test_a_pair_within_the_process_is_local_and_one_with_another_process_is_not():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Sockets(os.getpid()).peer_of(ours.fileno()) is Peer.LOCAL
        child = os.fork()
        if not child:
            ours.close()
            theirs.recv(1)
            os._exit(0)
        theirs.close()
        assert Sockets(os.getpid()).peer_of(ours.fileno()) is Peer.UPSTREAM
        ours.send(b".")
        os.waitpid(child, 0)


def test_a_pipe_is_local(sockets):
    reading, writing = os.pipe()
    assert sockets.peer_of(reading) is Peer.LOCAL
    os.close(reading)
    os.close(writing)


def _poll(one):
    poll = select.poll()
    poll.register(one, select.POLLIN)
    poll.poll()


def _epoll(one):
    with select.epoll() as epoll:
        epoll.register(one, select.EPOLLIN)
        epoll.poll()


WAYS = {
    "recvfrom": lambda one: one.recv(1),
    "poll": _poll,
    "select": lambda one: select.select([one], [], []),
    "epoll": _epoll,
}


def _call_of(tid):
    """The system call and arguments of a thread, once it is in one that waits for descriptors."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with open(f"/proc/self/task/{tid}/syscall") as file:
            words = file.read().split()
        name = NAMES.get(int(words[0]), "") if words[0].isdigit() else ""
        if name in ("recvfrom", "poll", "select", "pselect6", "epoll_wait", "epoll_pwait"):
            return name, tuple(int(word, 16) for word in words[1:7])
        time.sleep(0.001)
    raise AssertionError("the thread does not wait")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("end", "expected"), [(1, Peer.UPSTREAM), (2, Peer.CLIENT)])
def test_a_waiting_thread_is_told_by_its_system_call(way, end, expected, connected, sockets):
    waiting, other = connected[end], connected[3 - end]
    thread = threading.Thread(target=WAYS[way], args=(waiting,))
    thread.start()
    try:
        assert sockets.waits_for(*_call_of(thread.native_id)) is expected
    finally:
        other.send(b".")
        thread.join()


def test_a_descriptor_that_has_gone_is_unknown(sockets):
    assert sockets.waits_for("recvfrom", (987_654,)) is Peer.UNKNOWN
