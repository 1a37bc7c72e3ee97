"""Query texts with `$1` that PostgreSQL refuses, changed until it takes them.

A constant brought its type with it; a parameter takes one from what stands around it, and sometimes
there is none. The server says where it stumbled: what stands nearest is given a type.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from foretide.dbadvisor import normalized
from foretide.dbadvisor.database import DatabaseError
from foretide.dbadvisor.normalized import Word

SYNTAX, GROUPING, COLUMN_REFERENCE = "42601", "42803", "42P10"
# Undefined function or operator, ambiguous one, mismatch, no type found, cannot be cast.
OF_TYPES = frozenset({"42883", "42725", "42804", "42P18", "42846", "42P08"})
USUAL_TYPES = ("integer", "numeric", "text", "date", "timestamp", "interval", "boolean")
NEAREST = 4
FARTHEST = 12

# Functions whose arguments all have the type of their result.
_OF_ONE_TYPE = frozenset({"coalesce", "nullif", "greatest", "least"})

_TYPE_NAME = (
    r"(?:double precision|character varying|(?:timestamp|time) with(?:out)? time zone"
    r'|"[^"]+"|[a-z_][\w.]*)(?:\[\])?'
)
_MATCHED = re.compile(rf"types ({_TYPE_NAME}) and ({_TYPE_NAME}) cannot be matched")
_WANTED = re.compile(rf"(?:must be|is of) type ({_TYPE_NAME})[, ]")
_OPERATOR = re.compile(r"operator (?:does not exist|is not unique): (.+)")
_NUMBERED = re.compile(r"parameter \$(\d+)")
_ENDS = "having order limit union intersect except window offset fetch for on select from where"
_CLAUSE_ENDS = tuple(_ENDS.split())


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement's words, as it is to be planned."""

    words: tuple[Word, ...]

    @classmethod
    def of(cls, text: str) -> "Draft":
        """Raises Unreadable: see `normalized.statement`."""
        return cls.stripped(normalized.mended(normalized.statement(text)))

    @classmethod
    def stripped(cls, words: Sequence[Word]) -> "Draft":
        """Without spaces and comments around it."""
        real = [place for place, word in enumerate(words) if word.kind != "space"]
        return cls(tuple(words[real[0] : real[-1] + 1]) if real else ())

    @property
    def parameters(self) -> int:
        """How many different ones there are."""
        return len({word.text for word in self.words if word.kind == "parameter"})

    def written(self) -> tuple[str, list[int]]:
        """The text, with parameters numbered without gaps, and where each word begins in it."""
        numbers = sorted({word.number for word in self.words if word.kind == "parameter"})
        places = {number: place for place, number in enumerate(numbers, 1)}
        parts, starts, length = [], [], 0
        for word in self.words:
            text = word.text
            if word.kind == "parameter":
                text = f"${places[word.number]}"
                text = f"CAST({text} AS {word.cast})" if word.cast else text
            parts.append(text)
            starts.append(length)
            length += len(text)
        return "".join(parts), starts

    def with_word(self, place: int, word: Word) -> "Draft":
        return Draft((*self.words[:place], word, *self.words[place + 1 :]))


def repairs(draft: Draft, error: DatabaseError, place: int | None) -> Iterator[Draft]:
    """Drafts that may get farther than the one that was refused, most promising first. `place`: of
    the word that the error points at.
    """
    if error.code == SYNTAX and place is not None:
        yield from _named_type(draft, place)
    elif error.code in (GROUPING, COLUMN_REFERENCE):
        yield from _same_parameters(draft)
    elif error.code in OF_TYPES:
        yield from _with_types(draft, error, place)


def spoilt(draft: Draft, repaired: Draft, error: DatabaseError, place: int | None) -> bool:
    """Whether the error after a repair comes of the repair: its new type does not fit in there."""
    if place is None:
        return False
    real = [at for at, word in enumerate(repaired.words) if word.kind != "space"]
    ranks = {at: rank for rank, at in enumerate(real)}
    for at, word in enumerate(repaired.words):
        if word.cast and (at >= len(draft.words) or draft.words[at] != word):
            near = abs(ranks[at] - ranks.get(place, 0)) <= 3
            if near and word.cast in str(error):
                return True
    return False


def _named_type(draft: Draft, place: int) -> Iterator[Draft]:
    """`some.type $1`: PostgreSQL takes a constant after a type's name, but no parameter."""
    words = draft.words
    if words[place].kind != "parameter":
        return
    before = [at for at in range(place) if words[at].kind != "space"]
    begin = len(before)
    while begin > 0 and words[before[begin - 1]].kind in ("name", "quoted"):
        begin -= 1
        if begin == 0 or not words[before[begin - 1]].says("."):
            break
        begin -= 1
    name = "".join(words[at].text for at in before[begin:])
    if name and not name.startswith("."):
        cast = replace(words[place], cast=name)
        yield Draft((*words[: before[begin]], cast, *words[place + 1 :]))


def _with_types(draft: Draft, error: DatabaseError, place: int | None) -> Iterator[Draft]:
    near = _nearest(draft, error, place)
    told = hints(str(error))
    if place is not None and str(error).startswith("function "):
        results = _results(draft.words, place)
        for name in (*told, *USUAL_TYPES) if results else ():
            yield Draft(
                tuple(
                    replace(word, cast=name) if at in results else word
                    for at, word in enumerate(draft.words)
                )
            )
    for parameter in near[:NEAREST]:
        yield from _cast(draft, parameter, told)
    for parameter in near[:NEAREST]:
        yield from _cast(draft, parameter, USUAL_TYPES)
    for parameter in near[NEAREST:FARTHEST]:
        yield from _cast(draft, parameter, told)


def _results(words: Sequence[Word], place: int) -> frozenset[int]:
    """Places of the parameters that are values of a call's argument, as both in
    `sum(CASE WHEN a = $1 THEN $2 ELSE $3 END)` that follow THEN and ELSE.
    """
    found = set()
    opened: list[str] = []
    real = [at for at in range(place, len(words)) if words[at].kind != "space"]
    for before, at in itertools.pairwise(real):
        word = words[at]
        if word.says("("):
            opened.append(words[before].text.lower())
        elif word.says(")"):
            opened[-1:] = []
            if not opened:
                break
        elif word.kind == "parameter" and (
            words[before].says("then", "else")
            or (words[before].says("(", ",") and opened[1:] and opened[-1] in _OF_ONE_TYPE)
        ):
            found.add(at)
    return frozenset(found)


def _cast(draft: Draft, place: int, types: Sequence[str]) -> Iterator[Draft]:
    word = draft.words[place]
    for name in types:
        if name != word.cast:
            yield draft.with_word(place, replace(word, cast=name))


def _nearest(draft: Draft, error: DatabaseError, place: int | None) -> list[int]:
    """Places of parameters; those that follow the error's place before those that precede it."""
    places = [at for at, word in enumerate(draft.words) if word.kind == "parameter"]
    if place is None:
        named = _NUMBERED.search(str(error))
        numbers = sorted({draft.words[at].number for at in places})
        if named is None or not 0 < int(named[1]) <= len(numbers):
            return []
        number = numbers[int(named[1]) - 1]
        return [at for at in places if draft.words[at].number == number]
    return sorted(places, key=lambda at: (abs(at - place), at < place))


def hints(message: str) -> tuple[str, ...]:
    """Types that the server's message (in English) speaks of, most probable first.

    >>> hints("operator is not unique: date + unknown")
    ('integer', 'interval', 'date')
    """
    matched = _MATCHED.search(message) or _WANTED.search(message)
    if matched:
        return tuple(name for name in matched.groups() if name not in ("unknown", "text"))
    operator = _OPERATOR.search(message)
    if operator is None:
        return ()
    found = [name for name in re.findall(_TYPE_NAME, operator[1]) if name != "unknown"]
    added: tuple[str, ...] = ()
    if re.search(r" [-+] ", message):
        if "date" in found:
            added = ("integer", "interval")
        elif any(name.startswith("time") for name in found):
            added = ("interval",)
    named = [name.removesuffix("[]") for name in found if name not in ("text", "text[]")]
    return tuple(dict.fromkeys((*added, *named)))


def _same_parameters(draft: Draft) -> Iterator[Draft]:
    """`SELECT substr(a, $1) … GROUP BY substr(a, $2)` was one expression when $1 and $2 were
    constants: parameters of equal expressions become the same.
    """
    places = [at for at, word in enumerate(draft.words) if word.kind != "space"]
    real = [draft.words[at] for at in places]
    shape = ["$" if word.kind == "parameter" else word.text.lower() for word in real]
    changed = list(draft.words)
    for begin, end in _items(real):
        wanted = shape[begin:end]
        if "$" not in wanted or len(wanted) < 2:
            continue
        for start in range(len(real) - len(wanted) + 1):
            if shape[start] != wanted[0] or shape[start : start + len(wanted)] != wanted:
                continue
            for offset, sign in enumerate(wanted):
                if sign == "$":
                    source = changed[places[begin + offset]]
                    changed[places[start + offset]] = replace(source)
    result = Draft(tuple(changed))
    if result != draft:
        yield result


def _items(real: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Where the expressions of GROUP BY, ORDER BY and DISTINCT ON begin and end."""
    for place in range(len(real) - 1):
        by = real[place].says("group", "order") and real[place + 1].says("by")
        on = real[place].says("distinct") and real[place + 1].says("on")
        if by or on:
            yield from _between_commas(real, place + 2)


def _between_commas(real: Sequence[Word], begin: int) -> Iterator[tuple[int, int]]:
    depth, place = 0, begin
    # ROLLUP (a, b) and the like: what is inside counts.
    while begin < len(real) and real[begin].says("rollup", "cube", "grouping", "sets", "("):
        begin += 1
        place = begin
    while place < len(real):
        word = real[place]
        if depth == 0 and word.says(",", ")", *_CLAUSE_ENDS, "asc", "desc", "nulls"):
            if place > begin:
                yield begin, place
            begin = place + 1
            if word.says(")", *_CLAUSE_ENDS):
                return
        depth += word.says("(", "[") - word.says(")", "]")
        place += 1
    if begin < place:
        yield begin, place
