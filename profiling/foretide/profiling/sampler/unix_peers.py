"""Which Unix socket each is connected with: the kernel tells by netlink (sock_diag(7)) alone.

Sockets of the sampler's own network namespace, which in a pod is the target's.
"""

import socket
import struct

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ALL_STATES = 0xFFFFFFFF
_SHOW_PEER = 4  # UDIAG_SHOW_PEER
_PEER = 2  # UNIX_DIAG_PEER
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ASK = struct.Struct("=BBHIIIII")
_ANSWER = struct.Struct("=BBBBIII")
_ATTRIBUTE = struct.Struct("=HH")
_SECONDS = 0.2


def unix_peers() -> dict[int, int]:
    """Inode by inode.

    Raises:
        OSError: the kernel does not say.
    """
    ask = _ASK.pack(socket.AF_UNIX, 0, 0, _ALL_STATES, 0, _SHOW_PEER, 0, 0)
    found: dict[int, int] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as door:
        door.settimeout(_SECONDS)
        header = _HEADER.pack(_HEADER.size + len(ask), _BY_FAMILY, _REQUEST_DUMP, 1, 0)
        door.send(header + ask)
        while read_peers(door.recv(1 << 16), found):
            pass
    return found


def read_peers(answer: bytes, found: dict[int, int]) -> bool:
    """Put what one answer tells into `found`; False: it was the last."""
    at = 0
    while at + _HEADER.size <= len(answer):
        length, kind, *_ = _HEADER.unpack_from(answer, at)
        if kind in (_ERROR, _DONE) or length < _HEADER.size:
            return False
        body = answer[at + _HEADER.size : at + length]
        inode = _ANSWER.unpack_from(body)[4]
        attribute = _ANSWER.size
        while attribute + 8 <= len(body):
            size, name = _ATTRIBUTE.unpack_from(body, attribute)
            if name == _PEER:
                found[inode] = int.from_bytes(body[attribute + 4 : attribute + 8], "little")
            attribute += max((size + 3) & ~3, 4)
        at += (length + 3) & ~3
    return bool(answer)
