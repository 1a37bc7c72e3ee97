"""Whom a thread waits for that waits for sockets: an answer, or something to do.

A descriptor's socket is known by its inode (/proc/PID/fd); the tables in /proc/PID/net say whether
it listens, and at which port it is. A connection at a port where somebody listens has been
accepted, any other has been made. What epoll waits for stands in /proc/PID/fdinfo, what poll and
select wait for in the memory of the process. It needs what reading a thread's system call needs.
"""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from ..window import Peer
from .unix_peers import unix_peers

# How old the tables may be. They hold all sockets of the network namespace: reading costs.
_SECONDS = 2.0
_LARGEST_TABLE = 1 << 21
_MOST_DESCRIPTORS = 256
_MOST_LISTED = 1_024
_LISTEN = "0A"
_TIME_WAIT = " 06 "
_ACCEPTS = 0x10000  # SO_ACCEPTCON in the flags of a Unix socket
_ORDER = (Peer.UPSTREAM, Peer.CLIENT, Peer.LISTENER, Peer.UNKNOWN, Peer.LOCAL)
_POLLFD = 8  # bytes: descriptor (4), events, revents


class Sockets:
    """The sockets of one process."""

    def __init__(self, pid: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._pid = pid
        self._clock = clock
        self._read_at = float("-inf")
        self._peers: dict[int, Peer] = {}

    def waits_for(self, call: str, arguments: tuple[int, ...]) -> Peer:
        """The peer of a thread that is in this system call. UNKNOWN: not to be told."""
        try:
            return self._first(self._descriptors(call, arguments))
        except (OSError, ValueError, IndexError):
            return Peer.UNKNOWN

    def peer_of(self, descriptor: int) -> Peer:
        """Of one descriptor of the process.

        Raises:
            OSError: there is no such descriptor, or it may not be read.
        """
        target = os.readlink(f"/proc/{self._pid}/fd/{descriptor}")
        if not target.startswith("socket:["):
            return Peer.LOCAL
        inode = int(target[8:-1])
        # A socket that is not in them is new; but many may come each second.
        age = self._clock() - self._read_at
        if age > (_SECONDS if inode in self._peers else _SECONDS / 2):
            self._refresh()
        return self._peers.get(inode, Peer.UNKNOWN)

    def _first(self, descriptors: Iterable[int]) -> Peer:
        found = set()
        wanted = list(descriptors)
        for descriptor in wanted:
            # Some may be closed by now.
            with suppress(OSError):
                found.add(self.peer_of(descriptor))
        # A loop waits for its own pipe, and for what it has been given: the most telling counts.
        none = Peer.UNKNOWN if wanted else Peer.LOCAL
        return next((peer for peer in _ORDER if peer in found), none)

    def _descriptors(self, call: str, arguments: tuple[int, ...]) -> list[int]:
        if call.startswith("epoll"):
            return self._of_epoll(arguments[0])
        if call in ("poll", "ppoll"):
            return self._of_poll(arguments[0], min(arguments[1], _MOST_DESCRIPTORS))
        if call in ("select", "pselect6"):
            return self._of_select(arguments[0], arguments[1:4])
        return [arguments[0]]

    def _of_epoll(self, descriptor: int) -> list[int]:
        with open(f"/proc/{self._pid}/fdinfo/{descriptor}") as file:
            lines = [line.split() for line in file if line.startswith("tfd:")]
        return [int(words[1]) for words in lines[:_MOST_DESCRIPTORS]]

    def _of_poll(self, address: int, count: int) -> list[int]:
        if not count:
            return []
        memory = self._memory(address, count * _POLLFD)
        numbers = (
            int.from_bytes(memory[at : at + 4], "little", signed=True)
            for at in range(0, len(memory), _POLLFD)
        )
        return [number for number in numbers if number >= 0]

    def _of_select(self, count: int, addresses: tuple[int, ...]) -> list[int]:
        length = min(count, 1_024)
        bits = 0
        for address in addresses[:2]:  # to read, to write
            if address:
                bits |= int.from_bytes(self._memory(address, (length + 63) // 64 * 8), "little")
        return [number for number in range(length) if bits >> number & 1]

    def _memory(self, address: int, length: int) -> bytes:
        descriptor = os.open(f"/proc/{self._pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, length, address)
        finally:
            os.close(descriptor)

    def _refresh(self) -> None:
        self._read_at = self._clock()
        rows = [row for name in ("tcp", "tcp6") for row in self._table(name)]
        self._peers = {**peers_of_tcp(rows), **peers_of_unix(self._table("unix"))}
        nameless = [inode for inode, peer in self._peers.items() if peer is Peer.UNKNOWN]
        if nameless:
            with suppress(OSError):
                self._tell_nameless(nameless)

    def _tell_nameless(self, inodes: Iterable[int]) -> None:
        """A Unix socket without a name has been made, or is one of a pair: maybe both are here."""
        others = unix_peers()
        folder = f"/proc/{self._pid}/fd"
        mine = set()
        for name in os.listdir(folder)[:_MOST_LISTED]:
            with suppress(OSError):
                mine.add(os.readlink(f"{folder}/{name}"))
        for inode in inodes:
            if f"socket:[{inode}]" in mine and others.get(inode):
                here = f"socket:[{others[inode]}]" in mine
                self._peers[inode] = Peer.LOCAL if here else Peer.UPSTREAM

    def _table(self, name: str) -> list[str]:
        try:
            with open(f"/proc/{self._pid}/net/{name}") as file:
                text = file.read(_LARGEST_TABLE)
        except OSError:
            return []
        # Where the listener's line were cut off, accepted connections would look like made ones.
        return text.splitlines()[1:] if len(text) < _LARGEST_TABLE else []


def peers_of_tcp(rows: Iterable[str]) -> dict[int, Peer]:
    """By inode, from the lines of /proc/net/tcp after its head."""
    sockets = []
    for row in rows:
        # Those that wait for their time to be over belong to nobody, and may be many.
        words = [] if _TIME_WAIT in row else row.split()
        if len(words) > 9:
            port = words[1].rpartition(":")[2]
            sockets.append((int(words[9]), port, words[3]))
    listened = {port for _, port, state in sockets if state == _LISTEN}
    return {inode: _tcp(port, state, listened) for inode, port, state in sockets if inode}


def _tcp(port: str, state: str, listened: set[str]) -> Peer:
    if state == _LISTEN:
        return Peer.LISTENER
    return Peer.CLIENT if port in listened else Peer.UPSTREAM


def peers_of_unix(rows: Iterable[str]) -> dict[int, Peer]:
    """By inode, from the lines of /proc/net/unix after its head.

    An accepted connection bears its listener's path. One without a path is UNKNOWN.
    """
    peers = {}
    for row in rows:
        words = row.split()
        if len(words) < 7:
            continue
        accepts = int(words[3], 16) & _ACCEPTS
        with_path = len(words) > 7
        named = Peer.CLIENT if with_path else Peer.UNKNOWN
        peers[int(words[6])] = Peer.LISTENER if accepts else named
    return peers
