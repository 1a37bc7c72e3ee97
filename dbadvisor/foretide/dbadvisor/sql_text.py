"""SQL as text, without understanding it: where statements end, what they begin with.

Quotes, dollar quotes and comments (nested ones, too) as in PostgreSQL's lexer, scan.l.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

# Only these have plans that an index could change. Others are counted by pg_stat_statements, too.
PLANNED = frozenset({"select", "with", "insert", "update", "delete", "merge", "values", "table"})

_TOKEN = re.compile(
    r"""
    (?P<line> --[^\n\r]* )
  | (?P<block> /\* )
  | (?P<escaped> (?<![\w$]) [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) )
  | (?P<string> '(?:[^']|'')*(?:'|\Z) )
  | (?P<name> "(?:[^"]|"")*(?:"|\Z) )
  | (?P<dollar> (?<![\w$]) \$(?:[^\W\d]\w*)?\$ )
  | (?P<word> \w[\w$]* )
  | (?P<space> \s+ )
  | (?P<end> ; )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")


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
    pieces: list[Piece] = []
    comments: list[str] = []
    start = None
    for kind, begin, end in [*_tokens(text), ("end", len(text), len(text))]:
        if kind == "end":
            if start is not None:
                line = text.count("\n", 0, start) + 1
                pieces.append(Piece(text[start:begin].strip(), tuple(comments), line))
            comments, start = [], None
        elif kind == "comment":
            if start is None:
                comments.append(text[begin:end].strip("-/* \t\r\n"))
        elif kind != "space" and start is None:
            start = begin
    return pieces


def first_word(text: str) -> str:
    """The first word of a statement in lower case, behind comments and brackets; "" without one."""
    for kind, begin, end in _tokens(text):
        if kind == "word":
            return text[begin:end].lower()
        if kind not in {"comment", "space"} and text[begin:end] != "(":
            return ""
    return ""


def collapsed(text: str) -> str:
    """The text with one blank for all layout between its words: the same for the same query."""
    tokens = ((kind in {"comment", "space"}, text[start:end]) for kind, start, end in _tokens(text))
    return "".join(
        " " if blank else "".join(token for _, token in run)
        for blank, run in groupby(tokens, key=lambda each: each[0])
    ).strip()


def _tokens(text: str) -> Iterator[tuple[str, int, int]]:
    """Kinds with where they begin and end: "comment", "space", "word", "end", or another."""
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:  # cannot be: the last alternative takes anything
            return
        kind, end = found.lastgroup or "other", found.end()
        if kind == "block":
            end = _end_of_comment(text, place)
        elif kind == "dollar":
            closing = text.find(found[0], end)
            end = len(text) if closing < 0 else closing + len(found[0])
        yield ("comment" if kind in {"line", "block"} else kind), place, end
        place = end


def _end_of_comment(text: str, place: int) -> int:
    depth = 0
    for mark in _BLOCK.finditer(text, place):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)
