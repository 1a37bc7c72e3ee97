"""The text of source lines, read where the process has its files (/proc/PID/root)."""

from collections.abc import Iterable, Mapping, Sequence

from ..window import Frame

_LARGEST_FILE = 4 << 20
_MOST_LINES = 4096
_MOST_READ = 300  # characters of a line


class Sources:
    """Lines of a process' source files; each is read once, however many windows it is seen in."""

    def __init__(self, pid: int) -> None:
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
            with open(self._root + file, "rb") as source:
                text = source.read(_LARGEST_FILE)
        except OSError:
            return
        lines = text.split(b"\n")
        for number in numbers:
            if number <= len(lines):
                line = lines[number - 1].decode(errors="replace").strip()
                self._lines[file, number] = line[:_MOST_READ]
