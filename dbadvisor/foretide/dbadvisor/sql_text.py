"""SQL as text, without understanding it: where statements end, what they begin with."""

from dataclasses import dataclass
from itertools import groupby

from foretide.dbadvisor import normalized

# Only these have plans that an index could change. Others are counted by pg_stat_statements, too.
PLANNED = frozenset({"select", "with", "insert", "update", "delete", "merge", "values", "table"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A statement without its semicolon and the comments before it. `comments` are those, without
    their marks, and `line` is that of its first word, from 1.
    """

    text: str
    comments: tuple[str, ...]
    line: int


def split(text: str) -> list[Piece]:
    """The statements of a script, none of them empty."""
    found: list[Piece] = []
    comments: list[str] = []
    start = None
    for kind, begin, end in normalized.pieces(text, tolerant=True):
        if kind == "sign" and text[begin] == ";":
            found += _piece(text, start, begin, comments)
            comments, start = [], None
        elif start is None and kind != "space":
            start = begin
        elif start is None and text.startswith(("--", "/*"), begin):
            comments.append(text[begin:end].strip("-/* \t\r\n"))
    return found + _piece(text, start, len(text), comments)


def _piece(text: str, start: int | None, end: int, comments: list[str]) -> list[Piece]:
    if start is None:
        return []
    line = text.count("\n", 0, start) + 1
    return [Piece(text[start:end].strip(), tuple(comments), line)]


def first_word(text: str) -> str:
    """The first word of a statement in lower case, behind comments and brackets; "" without one."""
    for kind, begin, end in normalized.pieces(text, tolerant=True):
        if kind == "name":
            return text[begin:end].lower()
        if kind != "space" and text[begin:end] != "(":
            return ""
    return ""


def collapsed(text: str) -> str:
    """The text with one blank for all layout between its words: the same for the same query."""
    found = normalized.pieces(text, tolerant=True)
    return "".join(
        " " if blank else "".join(text[begin:end] for _, begin, end in run)
        for blank, run in groupby(found, key=lambda piece: piece[0] == "space")
    ).strip()
