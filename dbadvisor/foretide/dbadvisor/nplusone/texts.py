"""Statements as logs and spans show them: their text without constants, and the constants.

Nothing is parsed, so that no statement is too odd for it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from foretide.dbadvisor import normalized

# Longer texts are generated lists, which no look-up has.
LONGEST = 100_000  # characters

_KINDS = {"quoted": "name", "name": "word"}
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
    quoted one), word, space (comments, too) and operator (each of its characters is one).
    """
    found = []
    for kind, begin, end in normalized.pieces(text, tolerant=True):
        token = text[begin:end]
        if kind == "space":
            found.append((kind, " " if token.startswith(("--", "/*")) else token))
        elif kind in ("operator", "sign"):
            found += [("operator", character) for character in token]
        else:
            found.append((_KINDS.get(kind, kind), token))
    return found


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
