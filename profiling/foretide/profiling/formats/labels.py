"""A frame as one text, `function (file:line)` as py-spy writes it, and back."""

import re

from ..window import Frame

_FRAME = re.compile(r"(?P<function>.*?) \((?P<file>.*?)(?::(?P<line>-?\d{1,9}))?\)", re.DOTALL)


def label_of(frame: Frame) -> str:
    """`function (file:line)`."""
    if not frame.file:
        return frame.function
    return f"{frame.function} ({frame.file}:{frame.line})"


def frame_of(label: str) -> Frame:
    """The frame that a label names; all of it is the function where it has no file."""
    found = _FRAME.fullmatch(label)
    if found is None or not found["file"]:
        return Frame(label, "", 0)
    return Frame(found["function"], found["file"], int(found["line"] or 0))
