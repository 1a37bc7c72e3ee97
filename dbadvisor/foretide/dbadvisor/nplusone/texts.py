"""Statements as logs and spans show them: their text without constants, and the constants.

The text is split into tokens as PostgreSQL's lexer does it: quoted names, all kinds of strings,
nested comments. Nothing is parsed, so that no statement is too odd for it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

# Longer texts are generated lists, which no look-up has.
LONGEST = 100_000  # characters

# What is never closed takes all the rest, so that no text is gone through more than once.
_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\* )
    | (?P<string>
          [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
        | (?:[uU]&|[bBxXnN])?'(?:[^']|'')*(?:'|\Z)
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$(?:.*?\$(?P=tag)\$|.*\Z)
      )
    | (?P<parameter> \$\d+ )
    | (?P<number> (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? )
    | (?P<name> (?:[uU]&)?"(?:[^"]|"")*(?:"|\Z) )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<space> \s+ )
    | (?P<operator> [-+*/<>=~!@\#%^&|`?:]+? | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_LIST = re.compile(r"\(\$(?:,\$)+\)")
# After these a minus belongs to the number, so that -1 and 1 are one text.
_BEFORE_SIGN = frozenset("=<>(,")


@dataclass(frozen=True, slots=True)
class Normalized:
    """A statement with `$n` for constants. `constants` belong to the first, second … `$n`: the
    constant's text, or the number of a parameter that was already there.

    `fingerprint` is the same for texts that differ in constants, blanks, comments, the length of
    lists and the case of words only.
    """

    text: str
    fingerprint: str
    constants: tuple[str | int, ...]

    def values(self, parameters: tuple[str | None, ...] = ()) -> tuple[str | None, ...]:
        """The constants, with `parameters` where the text had `$n`; None where one is missing."""
        return tuple(
            (parameters[each - 1] if each <= len(parameters) else None)
            if isinstance(each, int)
            else each
            for each in self.constants
        )


@lru_cache(maxsize=8192)
def normalize(text: str) -> Normalized:
    """`text` without what differs from call to call. A text above `LONGEST` is cut off."""
    parts: list[str] = []
    bare: list[str] = []
    constants: list[str | int] = []
    numbers: dict[int, int] = {}  # a parameter that stands twice is one constant
    for kind, token in tokens(text[:LONGEST]):
        if kind in ("string", "number"):
            if _is_sign(bare) and kind == "number":
                parts.pop()
                bare.pop()
                token = f"-{token}"
            constants.append(_unquoted(token))
            parts.append(f"${len(constants)}")
            bare.append("$")
        elif kind == "parameter":
            number = int(token[1:])
            if number not in numbers:
                constants.append(number)
                numbers[number] = len(constants)
            parts.append(f"${numbers[number]}")
            bare.append("$")
        elif kind == "space":
            parts.append(" ")
        else:
            parts.append(token)
            bare.append(token.lower() if kind == "word" else token)
    return Normalized(
        re.sub(r" +", " ", "".join(parts)).strip("; "), _fingerprint(bare), tuple(constants)
    )


def fingerprint(text: str) -> str:
    """What statements have in common that differ in constants only."""
    return normalize(text).fingerprint


def filled(text: str, values: tuple[str | None, ...]) -> str:
    """`text` with `values` as quoted constants for its `$1`, `$2` …, for a statement that is run
    once.

    Raises:
        ValueError: a value is missing.
    """
    parts: list[str] = []
    for kind, token in tokens(text):
        if kind == "parameter":
            number = int(token[1:])
            if not 1 <= number <= len(values):
                raise ValueError(f"no value for {token}")
            token = literal(values[number - 1])
        elif kind == "space":
            token = " "
        parts.append(token)
    return "".join(parts)


def literal(value: str | None) -> str:
    """A constant of unknown type, as SQL has it under any setting of escape strings."""
    if value is None:
        return "NULL"
    quoted = value.replace("'", "''")
    if "\\" in value:
        return " E'" + quoted.replace("\\", "\\\\") + "'"
    return f"'{quoted}'"


def tokens(text: str) -> list[tuple[str, str]]:
    """(kind, token) of all that `text` consists of. Kinds: string, parameter, number, name (a
    quoted one), word, space (comments, too) and operator.
    """
    found = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        assert match is not None  # the last alternative takes anything
        kind, token = match.lastgroup or "operator", match.group()
        if kind == "tag":
            kind = "string"
        place = match.end()
        if token == "/*":
            place = _end_of_comment(text, place)
        found.append(("space", " ") if kind == "comment" else (kind, token))
    return found


def _end_of_comment(text: str, place: int) -> int:
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, place):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)


def _is_sign(bare: list[str]) -> bool:
    return len(bare) > 1 and bare[-1] == "-" and bare[-2][-1] in _BEFORE_SIGN


def _unquoted(token: str) -> str:
    if token[0] == "$":
        tag = token.index("$", 1) + 1
        return token[tag:-tag]
    start = token.find("'")
    if start < 0:
        return token
    inner = token[start + 1 :].removesuffix("'").replace("''", "'")
    if token[0] in "eE":
        inner = re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
    return inner


def _fingerprint(bare: list[str]) -> str:
    """One blank between words, and none elsewhere; lists of constants are one."""
    joined = ""
    parts: list[str] = []
    for token in bare:
        wordy = token[0].isalnum() or token[0] in '_"$'
        if parts and wordy and joined:
            parts.append(" ")
        parts.append(token)
        joined = token if wordy else ""
    text = "".join(parts).strip("; ")
    return _LIST.sub("($)", text)
