"""Parameters as drivers, ORMs and psql write them, as PostgreSQL's own `$1`.

They are `:name`, `:'name'`, `:1`, `%s`, `%(name)s`, `?`, `?1`, `@name`, `$name`, `#{name}` and
`${name}`. Some of these are operators or slices of arrays, too: what stands before tells which.
"""

import re
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from foretide.dbadvisor import normalized

# After these begins an operand; after any other name an operator follows.
_WORDS = """
    select distinct all any some array as on using where and or not in is between symmetric
    like ilike similar to escape case when then else from for having by limit offset fetch first
    next values set returning union except intersect with zone
    date time timestamp timestamptz interval
"""
_BEFORE_OPERANDS = frozenset(_WORDS.split())
_OPERANDS = frozenset({"string", "quoted", "number", "parameter"})
# The comparisons that may stand before a @ without a blank; <@ and @> are operators themselves.
_COMPARISONS = frozenset({"", "=", "<>", "!=", ">", ">=", "<="})
_FORMATS = frozenset("sbt")  # of psycopg
_SIGNS = re.compile(r"[?%@#]|(?<!:):(?!:)|\$[^0-9]")
_LONGEST = 20  # pieces of a name in brackets


class _Piece(NamedTuple):
    kind: str
    text: str


_END = _Piece("", "")


def numbered(text: str) -> str:
    """The text of one statement with `$n` for its parameters; those that have `$n` go on."""
    if not _SIGNS.search(text):
        return text
    pieces = [
        _Piece(kind, text[begin:end]) for kind, begin, end in normalized.pieces(text, tolerant=True)
    ]
    return _Numbering(pieces).text()


class _Numbering:
    def __init__(self, pieces: Sequence[_Piece]) -> None:
        self._pieces = pieces
        self._place = 0
        self._written: list[_Piece] = []
        self._before = _END  # the last one that is no blank
        self._brackets: list[bool] = []  # the open ones: whether a subscript's
        used = [int(it.text[1:]) for it in pieces if it.kind == "parameter"]
        self._free = count(max(used, default=0) + 1)
        self._names: dict[str, str] = {}
        self._percents = False

    def text(self) -> str:
        while self._place < len(self._pieces):
            piece = self._pieces[self._place]
            self._place += 1
            if piece.kind == "sign":
                self._sign(piece)
            elif piece.kind == "operator":
                self._operator(piece.text)
            else:
                self._write(piece)
        if self._percents:
            # Where a driver fills %s in, %% stands for a %.
            return "".join(
                it.text.replace("%%", "%") if it.kind in ("string", "operator") else it.text
                for it in self._written
            )
        return "".join(it.text for it in self._written)

    def _write(self, piece: _Piece) -> None:
        self._written.append(piece)
        if piece.kind != "space":
            self._before = piece

    def _parameter(self, name: str = "") -> None:
        """The same for the same name; without a name another one."""
        number = self._names.get(name) or f"${next(self._free)}"
        if name:
            self._names[name] = number
        self._write(_Piece("parameter", number))

    def _next(self, ahead: int = 0) -> _Piece:
        place = self._place + ahead
        return self._pieces[place] if place < len(self._pieces) else _END

    def _is_after_operand(self) -> bool:
        kind, text = self._before
        if kind == "name":
            return text.lower() not in _BEFORE_OPERANDS
        return kind in _OPERANDS or text in (")", "]")

    def _sign(self, piece: _Piece) -> None:
        following = self._next()
        if piece.text == "[":
            before = self._before
            self._brackets.append(before.text.lower() != "array" and self._is_after_operand())
        elif piece.text == "]":
            self._brackets[-1:] = []
        elif piece.text == ":" and not self._is_slice():
            if following.kind in ("name", "number") or following.text.startswith("'"):
                self._named(following.text.strip("'"))
                return
            if following.kind == "quoted":
                return  # the name of a table or column, which psql fills in
        elif piece.text == "$" and following.kind == "name":
            self._named(following.text)
            return
        elif piece.text == "$" and self._braced():
            return
        self._write(piece)

    def _named(self, name: str) -> None:
        """A parameter whose name is the next piece."""
        self._place += 1
        self._parameter(name)

    def _is_slice(self) -> bool:
        """`a[1:2]`, `a[:2]`, `a[b:c]`; in `a[:n]` it is a parameter."""
        if not self._brackets or not self._brackets[-1]:
            return False
        return self._is_after_operand() or self._next().kind == "number"

    def _operator(self, text: str) -> None:
        before, last, following = text[:-1], text[-1], self._next()
        if last == "@" and following.kind == "name" and before in _COMPARISONS:
            if before or not self._is_after_operand():
                self._write_operator(before)
                self._named(following.text)
            else:
                self._write_operator(text)
        elif not (
            (last == "%" and self._formatted(before)) or (last == "#" and self._braced(before))
        ):
            self._question(text)

    def _write_operator(self, text: str) -> None:
        if text:
            self._write(_Piece("operator", text))

    def _braced(self, before: str = "") -> bool:
        """`{name}` or `{name,type}` behind a sign, if that follows. `before`: signs before that."""
        name = self._next(1)
        if self._next().text != "{" or name.kind != "name":
            return False
        for ahead in range(2, _LONGEST):
            if self._next(ahead).text == "}":
                self._write_operator(before)
                self._place += ahead + 1
                self._parameter(name.text)
                return True
        return False

    def _formatted(self, before: str) -> bool:
        """`%s` and `%(name)s`, if what follows is that; `before` are the signs before the %."""
        name, ahead = "", 0
        if self._next().text == "(":
            inner = [self._next(ahead).text for ahead in range(1, _LONGEST)]
            if ")" not in inner[1:]:
                return False
            length = inner.index(")")
            name, ahead = "".join(inner[:length]), length + 2
        elif not before and self._is_after_operand():
            return False  # what is left of a division by s
        if self._next(ahead).text not in _FORMATS:
            return False
        self._write_operator(before)
        self._place += ahead + 1
        self._parameter(name)
        self._percents = True
        return True

    def _question(self, text: str) -> None:
        """An operator in which ? may be a parameter. JDBC writes ?? for the operator ?."""
        before, question, after = text.partition("?")
        if not question or text == "@?":
            self._write_operator(text)
        elif not before and self._is_after_operand():
            self._write_operator(after if after.startswith("?") else text)
        else:
            self._write_operator(before)
            if not after and self._next().kind == "number":
                self._named(self._next().text)
            else:
                self._parameter()
                self._question(after)
