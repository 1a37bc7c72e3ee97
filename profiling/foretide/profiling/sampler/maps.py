"""Where an address lies in a process: in the interpreter's own data, or elsewhere.

The GIL's futex lies in `_PyRuntime`, so in .data or .bss of libpython or of a statically linked
python; a `threading.Lock` lies on the heap. .bss is an anonymous mapping right after the image's.
"""

import os
import re
from bisect import bisect_right
from dataclasses import dataclass

from . import procfs

_INTERPRETER = re.compile(
    r"/(?:libpython(\d+\.\d+)[a-z]*\.so[.\d]*|python(?:\d+(?:\.\d+)?)?[a-z]*)$"
)
_FOLDER = re.compile(r"/lib(?:64)?/python(\d+\.\d+)t?/")


@dataclass(frozen=True, slots=True)
class Mapping:
    """One line of /proc/PID/maps. `path` is empty where nothing is mapped from a file."""

    start: int
    end: int
    writable: bool
    path: str


def parse_maps(text: str) -> list[Mapping]:
    """In the order of addresses, as the kernel writes them."""
    mappings = []
    for line in text.splitlines():
        fields = line.split(None, 5)
        if len(fields) < 5:
            continue
        start, _, end = fields[0].partition("-")
        path = fields[5] if len(fields) > 5 else ""
        path = path.removesuffix(" (deleted)")
        mappings.append(Mapping(int(start, 16), int(end, 16), "w" in fields[1], path))
    return mappings


def runtime_ranges(mappings: list[Mapping], executable: str = "") -> list[tuple[int, int]]:
    """Writable addresses of the interpreter's images, with the .bss that follows each."""
    ranges: list[tuple[int, int]] = []
    image_end = 0
    for mapping in mappings:
        is_image = mapping.path == executable or bool(_INTERPRETER.search(mapping.path))
        if mapping.path and is_image:
            image_end = mapping.end
            if mapping.writable:
                ranges.append((mapping.start, mapping.end))
        elif not mapping.path and mapping.writable and mapping.start == image_end:
            ranges.append((mapping.start, mapping.end))
            image_end = 0
    return ranges


def is_interpreter(path: str) -> bool:
    """Is a file of this name a Python interpreter, or its library?"""
    return bool(_INTERPRETER.search(path))


def has_interpreter(text: str) -> bool:
    """Does any line of /proc/PID/maps map one?"""
    return any(is_interpreter(mapping.path) for mapping in parse_maps(text))


def python_version(mappings: list[Mapping], executable: str) -> str:
    """Such as "3.11", from the names of what is mapped; empty where no name tells."""
    for path in [mapping.path for mapping in mappings] + [executable]:
        if (found := _INTERPRETER.search(path)) and found.group(1):
            return found.group(1)
        if found := re.search(r"/python(\d+\.\d+)[a-z]*$", path):
            return found.group(1)
    for mapping in mappings:
        if found := _FOLDER.search(mapping.path):
            return found.group(1)
    return ""


def is_free_threaded(mappings: list[Mapping], executable: str) -> bool:
    """A build without the GIL bears a "t" behind its version (PEP 703)."""
    paths = [mapping.path for mapping in mappings] + [executable]
    return any(re.search(r"python\d+\.\d+t(?=[./]|$)", path) for path in paths)


class AddressBook:
    """Tells the interpreter's addresses from others, and looks again where one is unknown."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._known: dict[int, bool] = {}
        self.version = ""
        self._look()

    def _look(self) -> None:
        text = (procfs.read_or_none(f"/proc/{self._pid}/maps") or b"").decode(errors="replace")
        try:
            executable = os.readlink(f"/proc/{self._pid}/exe").removesuffix(" (deleted)")
        except OSError:
            executable = ""
        mappings = parse_maps(text)
        ranges = runtime_ranges(mappings, executable)
        self._starts = [start for start, _ in ranges]
        self._ends = [end for _, end in ranges]
        self.version = python_version(mappings, executable) or self.version

    def is_runtime(self, address: int) -> bool:
        """Does it lie in the interpreter's own data?"""
        known = self._known.get(address)
        if known is None:
            at = bisect_right(self._starts, address) - 1
            known = at >= 0 and address < self._ends[at]
            if len(self._known) > 4096:
                self._known.clear()
            self._known[address] = known
        return known
