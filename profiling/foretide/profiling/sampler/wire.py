"""A window as one line of text, and windows out of any text that holds such lines.

Windows leave a pod through its log: the kubelet splits lines at 16 KiB and joins them again, other
output comes in between, and the end may be missing. So a line starts with a marker and carries its
length and a checksum; what does not add up is left out.
"""

import base64
import binascii
import dataclasses
import json
import types
import typing
import zlib
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

from ..window import LARGEST, Window, is_whole

MARKER = "foretide-window/1"

# More than any window unpacks to; a line that claims more is broken or malicious.
_LARGEST = 16 * 1024 * 1024


def to_packed_line(window: Window) -> str:
    """One line without its newline: marker, CRC-32 of the payload, its length, the payload."""
    text = json.dumps(to_json(window), separators=(",", ":"), ensure_ascii=False)
    payload = base64.b85encode(zlib.compress(text.encode(), 6)).decode()
    return f"{MARKER} {binascii.crc32(payload.encode()):08x} {len(payload)} {payload}"


def from_packed_line(line: str) -> Window | None:
    """The window in a line, which may stand behind other output; None: none, or a broken one."""
    at = line.find(MARKER + " ")
    if at < 0:
        return None
    fields = line[at:].split()
    if len(fields) < 4 or not fields[2].isdigit():
        return None
    # Another writer may have gone on in the same line, right behind the payload.
    payload = fields[3][: int(fields[2])]
    try:
        if len(payload) != int(fields[2]):
            return None
        if binascii.crc32(payload.encode()) != int(fields[1], 16):
            return None
        unpack = zlib.decompressobj()
        text = unpack.decompress(base64.b85decode(payload), _LARGEST)
        if unpack.unconsumed_tail:
            return None
        window = from_json(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error):
        return None
    return window if is_whole(window) else None


def read_windows(lines: Iterable[str]) -> Iterator[Window]:
    """All windows in these lines, each once, however often its line came; in the lines' order."""
    seen: set[tuple[float, int, str]] = set()
    for line in lines:
        window = from_packed_line(line)
        if window is None:
            continue
        identity = (window.started_at, window.pid, window.labels.get("pod", ""))
        if identity not in seen:
            seen.add(identity)
            yield window


def to_json(value: Any) -> Any:
    """Dataclasses as objects, tuples as lists, fields at their defaults left out."""
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        result = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if field.default is not dataclasses.MISSING and item == field.default:
                continue
            result[field.name] = to_json(item)
        return result
    if isinstance(value, Mapping):
        return {to_json(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def from_json(value: Mapping[str, Any]) -> Window:
    """The window that `to_json` made this from; fields of later versions are passed over.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no window.
    """
    window = _build(Window, value)
    assert isinstance(window, Window)
    return window


_hints: dict[type, dict[str, Any]] = {}


def _build(kind: Any, value: Any) -> Any:
    """A value of the annotated type `kind` from parsed JSON."""
    origin = get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        inner = [each for each in get_args(kind) if each is not type(None)]
        return _build(inner[0], value)
    if origin is tuple:
        item = get_args(kind)[0]
        return tuple(_build(item, each) for each in value)
    if origin is not None and issubclass(origin, Mapping):
        key, item = get_args(kind)
        # Keys of JSON are text, whatever they were.
        return {
            (int(k) if key is int else _build(key, k)): _build(item, v) for k, v in value.items()
        }
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind not in _hints:
            _hints[kind] = get_type_hints(kind)
        hints = _hints[kind]
        return kind(**{k: _build(hints[k], v) for k, v in value.items() if k in hints})
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        raise ValueError(f"{value!r:.40} is no number that can be")
    if kind is float:
        return float(value)
    if kind in (int, str):
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return value
    return kind(value)
