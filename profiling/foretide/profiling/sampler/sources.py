"""The text of source lines, read where the process has its files (/proc/PID/root)."""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence

from ..window import Frame
from . import procfs

_LARGEST_FILE = 4 << 20
_MOST_LINES = 4096
_MOST_READ = 300  # characters of a line


class Sources:
    """Lines of a process' source files; each is read once, however many windows it is seen in."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._root = f"/proc/{pid}/root"
        self._lines: dict[tuple[str, int], str | None] = {}

    def of_leaves(
        self, frames: Sequence[Frame], stacks: Iterable[Sequence[int]]
    ) -> Mapping[int, str]:
        """The text of each stack's innermost line by the index of its frame, where it is there."""
        wanted = {stack[-1] for stack in stacks if stack}
        unread: dict[str, set[int]] = {}
        for index in wanted:
            frame = frames[index]
            if (frame.file, frame.line) not in self._lines and frame.line > 0:
                unread.setdefault(frame.file, set()).add(frame.line)
        if len(self._lines) > _MOST_LINES:
            self._lines.clear()
        for file, numbers in unread.items():
            self._read(file, numbers)
        texts = {
            index: self._lines.get((frames[index].file, frames[index].line)) for index in wanted
        }
        return {index: text for index, text in sorted(texts.items()) if text}

    def _read(self, file: str, numbers: set[int]) -> None:
        for number in numbers:
            self._lines[file, number] = None
        if not file.startswith("/"):
            return
        try:
            text = self._text(self._root + file)
        except OSError:
            return
        lines = text.split(b"\n")
        for number in numbers:
            if number <= len(lines):
                line = lines[number - 1].decode(errors="replace").strip()
                self._lines[file, number] = line[:_MOST_READ]

    def _text(self, path: str) -> bytes:
        """A file's text, empty where it is none that the process itself may read: it can give its
        code any name, a pipe's that never ends, or that of a secret which is shown to us only.
        """
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(opened, "rb") as source:
            found = os.fstat(opened)
            if not stat.S_ISREG(found.st_mode):
                return b""
            user, groups = procfs.identity(self._pid)
            ways = (
                user == 0,
                found.st_mode & stat.S_IROTH,
                user == found.st_uid and found.st_mode & stat.S_IRUSR,
                found.st_gid in groups and found.st_mode & stat.S_IRGRP,
            )
            return source.read(_LARGEST_FILE) if any(ways) else b""
