"""Which k of n pods are profiled now. Pure."""

import zlib
from collections.abc import Iterable

from .facts import PodFacts


def pick(
    pods: Iterable[PodFacts], count: int, *, turn: str, keep: frozenset[str] = frozenset()
) -> tuple[PodFacts, ...]:
    """So many of the pods: those with a uid in `keep` first, then by lot.

    The lot depends on the turn and the pod alone (rendezvous hashing): a pod that comes or goes
    moves no other's place, and over many turns each pod has its share.
    """
    ranked = sorted(pods, key=lambda pod: (pod.uid not in keep, _lot(turn, pod.uid)))
    return tuple(ranked[:count])


def turn_of(now: float, period: float) -> str:
    """The turn that a moment (Unix seconds) lies in, turns being `period` seconds long."""
    return str(int(now // period))


def turn_ends(now: float, period: float) -> float:
    """When that turn ends, in Unix seconds."""
    return (now // period + 1) * period


def _lot(turn: str, uid: str) -> tuple[int, str]:
    # CRC-32 alone is linear: equal differences of turns would rank pods alike.
    mixed = zlib.crc32(f"{uid}/{turn}".encode())
    return zlib.crc32(f"{turn}:{mixed:08x}:{uid}".encode()), uid
