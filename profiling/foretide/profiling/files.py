"""Files with profiles in any format that is known, told by what they hold; writing one.

Foretide's own files hold windows, which comparisons and intervals need. All others hold stacks.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from .codec import (
    PROFILE_MAGIC,
    WINDOWS_MAGIC,
    pack_profile,
    pack_windows,
    unpack_profile,
    unpack_windows,
)
from .formats import chrome, collapsed, pprof, speedscope
from .formats.metric import WHAT, Metric, chosen_metric
from .formats.parsing import read_json
from .packing import MOST_BYTES, inflate
from .profile import BadProfile, Profile, merge
from .sampler import wire
from .sampler.wire import MARKER
from .window import Window

_GZIP = b"\x1f\x8b"


class Format(StrEnum):
    """A format that can be written."""

    FORETIDE = "foretide"
    COLLAPSED = "collapsed"
    SPEEDSCOPE = "speedscope"
    PPROF = "pprof"
    CHROME = "chrome"


# What a file's name ends in, the longest first.
SUFFIXES = {
    ".speedscope.json": Format.SPEEDSCOPE,
    ".trace.json": Format.CHROME,
    ".ftp": Format.FORETIDE,
    ".folded": Format.COLLAPSED,
    ".collapsed": Format.COLLAPSED,
    ".txt": Format.COLLAPSED,
    ".json": Format.SPEEDSCOPE,
    ".pb.gz": Format.PPROF,
    ".pprof": Format.PPROF,
}


def format_of(path: Path) -> Format | None:
    """The format that a file's name asks for, None where it asks for none that is known."""
    return next((kind for end, kind in SUFFIXES.items() if path.name.lower().endswith(end)), None)


def read_file(path: Path) -> Profile | tuple[Window, ...]:
    """What a file holds: windows if they are Foretide's, and a profile otherwise.

    Raises:
        BadProfile: it cannot be read, is too big or damaged, or is no profile.
    """
    try:
        with path.open("rb") as file:  # a device has no size, and may have no end
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadProfile(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise BadProfile(f"{path}: it has more than {MOST_BYTES // 2**20} MB")
    try:
        return read_data(data)
    except BadProfile as error:
        raise BadProfile(f"{path}: {error}") from None


def read_profile(path: Path) -> Profile:
    """The profile in a file, of whatever format.

    Raises:
        BadProfile: as with `read_file`.
    """
    found = read_file(path)
    return found if isinstance(found, Profile) else merge(found)


def read_windows(path: Path) -> tuple[Window, ...]:
    """The windows in a file.

    Raises:
        BadProfile: as with `read_file`, or it is another tool's and has none.
    """
    found = read_file(path)
    if isinstance(found, Profile):
        raise BadProfile(
            f"{path} holds one profile and no windows, so that nothing can be said about chance: "
            "record it with `foretide profile record`"
        )
    return found


def read_data(data: bytes) -> Profile | tuple[Window, ...]:
    """The same, of bytes.

    Raises:
        BadProfile: they are damaged, or no profile.
    """
    if data.startswith(WINDOWS_MAGIC):
        windows = unpack_windows(data)
        if not windows:
            raise BadProfile("it has no windows: nothing was recorded")
        return windows
    if data.startswith(PROFILE_MAGIC):
        return unpack_profile(data)
    if data.startswith(_GZIP):
        data = inflate(data, wbits=zlib.MAX_WBITS | 16)
    start = data[:64].lstrip()
    if not start:
        raise BadProfile("it is empty")
    if start[:1] in (b"{", b"["):
        return _from_json(read_json(data))
    if _is_text(data):
        return _from_text(data)
    return pprof.load(data)


def write_profile(
    what: Profile | Sequence[Window], kind: Format, metric: Metric | None = None
) -> bytes:
    """A profile, or windows, in that format; `metric` where it holds but one.

    Raises:
        BadProfile: there are no windows, or they do not have what was asked for.
    """
    if kind is Format.FORETIDE:
        return pack_profile(what) if isinstance(what, Profile) else pack_windows(what)
    profile = what if isinstance(what, Profile) else merge(what)
    if kind is Format.PPROF:
        return pprof.dump(profile)
    writers: dict[Format, Callable[[Profile, Metric | None], bytes]] = {
        Format.COLLAPSED: collapsed.dump,
        Format.SPEEDSCOPE: speedscope.dump,
        Format.CHROME: chrome.dump,
    }
    return writers[kind](profile, metric)


def described(profile: Profile, kind: Format, metric: Metric | None = None) -> str:
    """What `write_profile` writes: the format, and the number where it holds but one."""
    if kind in (Format.FORETIDE, Format.PPROF):
        return str(kind)
    metric = chosen_metric(profile, metric)
    in_microseconds = kind is Format.COLLAPSED and metric is not Metric.SAMPLES
    return f"{kind}, {WHAT[metric]}{' in microseconds' if in_microseconds else ''}"


def _from_json(plain: Any) -> Profile:
    if isinstance(plain, dict) and "shared" in plain and "profiles" in plain:
        return speedscope.read(plain)
    if isinstance(plain, list) or (isinstance(plain, dict) and "traceEvents" in plain):
        return chrome.read(plain)
    keys = ", ".join(map(json.dumps, list(plain)[:5]))
    raise BadProfile(f"its JSON is neither speedscope's nor Chrome's: it has {keys or 'nothing'}")


def _from_text(data: bytes) -> Profile | tuple[Window, ...]:
    """Collapsed stacks, or the log of a sampler with its windows among other lines."""
    if MARKER.encode() in data:
        windows = tuple(wire.read_windows(data.decode("utf-8", "replace").splitlines()))
        if not windows:
            raise BadProfile("it has no whole window: the log is cut off, or none was finished")
        return windows
    return collapsed.load(data)


def _is_text(data: bytes) -> bool:
    head = data[:4096]
    return not any(byte < 0x20 and byte not in b"\t\n\r\x0c" for byte in head)
