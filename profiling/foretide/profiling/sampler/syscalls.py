"""Which state a thread is in, told from its system call (/proc/PID/task/TID/syscall, proc(5)).

Numbers are those of x86-64 and of the generic table that arm64 uses. A name stands here only where
it says what a thread waits for; all others are told by the scheduler's state.
"""

import platform
from enum import Enum


class Wait(Enum):
    """What a call waits for, when it waits."""

    FUTEX = "futex"
    SLEEP = "sleep"
    MANY = "many"  # poll, select, epoll: any of many descriptors
    ACCEPT = "accept"
    DESCRIPTOR = "descriptor"  # reads or writes the descriptor in its first argument
    SOCKET = "socket"
    FILE = "file"
    FILE_LOCK = "file lock"
    CHILD = "child"


_WAITS = {
    "futex": Wait.FUTEX,
    "nanosleep": Wait.SLEEP,
    "clock_nanosleep": Wait.SLEEP,
    "poll": Wait.MANY,
    "ppoll": Wait.MANY,
    "select": Wait.MANY,
    "pselect6": Wait.MANY,
    "epoll_wait": Wait.MANY,
    "epoll_pwait": Wait.MANY,
    "epoll_pwait2": Wait.MANY,
    "accept": Wait.ACCEPT,
    "accept4": Wait.ACCEPT,
    "read": Wait.DESCRIPTOR,
    "write": Wait.DESCRIPTOR,
    "readv": Wait.DESCRIPTOR,
    "writev": Wait.DESCRIPTOR,
    "sendfile": Wait.DESCRIPTOR,
    "connect": Wait.SOCKET,
    "sendto": Wait.SOCKET,
    "recvfrom": Wait.SOCKET,
    "sendmsg": Wait.SOCKET,
    "recvmsg": Wait.SOCKET,
    "sendmmsg": Wait.SOCKET,
    "recvmmsg": Wait.SOCKET,
    "pread64": Wait.FILE,
    "pwrite64": Wait.FILE,
    "preadv": Wait.FILE,
    "pwritev": Wait.FILE,
    "fsync": Wait.FILE,
    "fdatasync": Wait.FILE,
    "sync_file_range": Wait.FILE,
    "msync": Wait.FILE,
    "sync": Wait.FILE,
    "syncfs": Wait.FILE,
    "fallocate": Wait.FILE,
    "ftruncate": Wait.FILE,
    "openat": Wait.FILE,
    "flock": Wait.FILE_LOCK,
    "fcntl": Wait.FILE_LOCK,  # of its commands those alone wait that lock
    "wait4": Wait.CHILD,
    "waitid": Wait.CHILD,
}

_X86_64 = {
    "read": 0,
    "write": 1,
    "poll": 7,
    "pread64": 17,
    "pwrite64": 18,
    "readv": 19,
    "writev": 20,
    "select": 23,
    "msync": 26,
    "nanosleep": 35,
    "sendfile": 40,
    "connect": 42,
    "accept": 43,
    "sendto": 44,
    "recvfrom": 45,
    "sendmsg": 46,
    "recvmsg": 47,
    "wait4": 61,
    "fcntl": 72,
    "flock": 73,
    "fsync": 74,
    "fdatasync": 75,
    "ftruncate": 77,
    "sync": 162,
    "futex": 202,
    "restart_syscall": 219,
    "clock_nanosleep": 230,
    "epoll_wait": 232,
    "waitid": 247,
    "openat": 257,
    "pselect6": 270,
    "ppoll": 271,
    "sync_file_range": 277,
    "epoll_pwait": 281,
    "fallocate": 285,
    "accept4": 288,
    "preadv": 295,
    "pwritev": 296,
    "recvmmsg": 299,
    "syncfs": 306,
    "sendmmsg": 307,
    "epoll_pwait2": 441,
}

_GENERIC = {
    "epoll_pwait": 22,
    "fcntl": 25,
    "flock": 32,
    "ftruncate": 46,
    "fallocate": 47,
    "openat": 56,
    "read": 63,
    "write": 64,
    "readv": 65,
    "writev": 66,
    "pread64": 67,
    "pwrite64": 68,
    "preadv": 69,
    "pwritev": 70,
    "sendfile": 71,
    "pselect6": 72,
    "ppoll": 73,
    "sync": 81,
    "fsync": 82,
    "fdatasync": 83,
    "sync_file_range": 84,
    "waitid": 95,
    "futex": 98,
    "nanosleep": 101,
    "clock_nanosleep": 115,
    "restart_syscall": 128,
    "accept": 202,
    "connect": 203,
    "sendto": 206,
    "recvfrom": 207,
    "sendmsg": 211,
    "recvmsg": 212,
    "msync": 227,
    "accept4": 242,
    "recvmmsg": 243,
    "wait4": 260,
    "syncfs": 267,
    "sendmmsg": 269,
    "epoll_pwait2": 441,
}


def _names(machine: str) -> dict[int, str]:
    table = _X86_64 if machine in ("x86_64", "AMD64") else _GENERIC
    return {number: name for name, number in table.items()}


NAMES = _names(platform.machine())
_NUMBERS = {name: number for number, name in NAMES.items()}
WAITS = {number: _WAITS[name] for number, name in NAMES.items() if name in _WAITS}
# A wait with a time limit goes on in restart_syscall(2) after each stop, such as py-spy makes.
RESTART = _NUMBERS["restart_syscall"]
_RESTARTED = ("futex", "poll", "nanosleep")


def restarted(call: tuple[int, ...], channel: str) -> tuple[int, ...]:
    """What a restarted call was before: its arguments are kept, and `channel` (wchan) has its name.

    As it is where the kernel does not tell.
    """
    name = next((one for one in _RESTARTED if one in channel and one in _NUMBERS), "")
    return (_NUMBERS[name], *call[1:]) if name else call
