"""Query texts as pg_stat_statements gives them: with `$1` where a constant stood.

Such a text is often no longer valid SQL (`DATE $1`, `INTERVAL $1 day`, `EXTRACT($1 FROM d)`), and
sqlglot takes `$1,$` for the beginning of a quoted string. Here texts are cut into words as
PostgreSQL's own scanner does (src/backend/parser/scan.l), which everything else builds on:
comments, quoted names and strings are never mistaken for code.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

# Words of one query after which nobody tries to understand it: that takes a second or so.
MOST_WORDS = 20_000
# Of a list of constants, and of the rows of VALUES: more of them tell nothing new.
LIST_KEPT = 20

# What is never closed is no SQL, or takes all the rest: so no text is gone through more than once.
_WORDS = r"""
      (?P<space>[ \t\n\r\f\v]+|--[^\n\r]*)
    | (?P<comment>/\*)
    | (?P<string>[eE]'(?:[^'\\]|''|\\.)*+QUOTE | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*+QUOTE)
    | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")NAME)
    | (?P<parameter>\$[0-9]+)
    | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$)
    | (?P<name>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
    | (?P<number>0[xXoObB][0-9a-fA-F_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<operator>::|:=|(?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?])+)
    | (?P<sign>[()\[\],;:.{}])
    """


def _compiled(quote: str, name: str, otherwise: str = "") -> re.Pattern[str]:
    pattern = _WORDS.replace("QUOTE", quote).replace("NAME", name) + otherwise
    return re.compile(pattern, re.VERBOSE | re.DOTALL)


_WORD = _compiled("'", '++"')
_ANY_WORD = _compiled(r"(?:'|\Z)", r'*+(?:"|\Z)', "| (?P<other>.)")
_COMMENT_EDGE = re.compile(r"/\*|\*/")

# Types of which `type 'constant'` is usual. Others are found when PostgreSQL refuses the text.
_TYPE_NAMES = """
    date time timetz timestamp timestamptz interval numeric decimal int integer int2 int4 int8
    smallint bigint real float float4 float8 text varchar char bpchar name bool boolean json
    jsonb uuid inet cidr macaddr bytea bit varbit money xml oid regclass point box tsvector
    tsquery int4range int8range numrange daterange tsrange tstzrange
"""
TYPES = frozenset(_TYPE_NAMES.split())
_LONG_TYPES = (
    ("double", "precision"),
    ("timestamp", "with", "time", "zone"),
    ("timestamp", "without", "time", "zone"),
    ("time", "with", "time", "zone"),
    ("time", "without", "time", "zone"),
    ("character", "varying"),
)
_INTERVAL_FIELDS = frozenset(["year", "month", "day", "hour", "minute", "second", "to"])


class Unreadable(Exception):
    """The text is no SQL that could be understood; says why."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text and where it stands in it. `cast`: a parameter's type, where it was said."""

    kind: str  # as the groups of the scanner; "space" is a comment, too
    text: str
    start: int
    cast: str | None = None

    @property
    def number(self) -> int:
        """Of a parameter."""
        return int(self.text[1:])

    def says(self, *words: str) -> bool:
        """Whether it is one of these keywords or signs (given in small letters)."""
        return self.kind in ("name", "sign", "operator") and self.text.lower() in words


def pieces(text: str, *, tolerant: bool = False) -> Iterator[tuple[str, int, int]]:
    """The kind of each word, where it begins and where it ends, one after the other: together they
    are the text. `tolerant`: takes any text, as a server's log or a script may have it.

    Raises:
        Unreadable: a quote or a comment does not end, or there is a character that SQL has not.
    """
    pattern = _ANY_WORD if tolerant else _WORD
    place = 0
    while place < len(text):
        match = pattern.match(text, place)
        kind = match.lastgroup if match else None
        if match is None or kind is None:
            raise Unreadable(f"{_told(text[place])} at character {place + 1} is no SQL")
        end = match.end()
        if kind == "comment":
            kind, end = "space", _comment_end(text, place)
            if end < 0 and not tolerant:
                raise Unreadable(f"a comment that begins at character {place + 1} does not end")
        elif kind == "dollar":
            kind, end = "string", _dollar_end(text, match[0], end)
            if end < 0 and not tolerant:
                raise Unreadable(f"a string that begins with {match[0]} does not end")
        elif kind == "other":
            kind = "sign"
        end = len(text) if end < 0 else end
        yield kind, place, end
        place = end


def words(text: str, *, tolerant: bool = False) -> list[Word]:
    """All words of a text, spaces and comments included. Takes and raises what `pieces` does."""
    return [Word(kind, text[at:end], at) for kind, at, end in pieces(text, tolerant=tolerant)]


def _told(character: str) -> str:
    names = {"'": "a quote that does not end", '"': "a quoted name that does not end"}
    return names.get(character, ascii(character))


def _comment_end(text: str, place: int) -> int:
    """-1 if there is none. PostgreSQL's comments nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, place):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return -1


def _dollar_end(text: str, tag: str, place: int) -> int:
    """-1 if there is none."""
    end = text.find(tag, place)
    return end if end < 0 else end + len(tag)


def statement(text: str) -> list[Word]:
    """The words of the one statement in a text, without the semicolon after it.

    Raises:
        Unreadable: it has none or several, or cannot be cut into words.
    """
    found = split(text)
    if len(found) != 1:
        raise Unreadable(f"{len(found)} statements in one text" if found else "an empty text")
    return found[0]


def split(text: str) -> list[list[Word]]:
    """The words of each statement in a text; those without any code are left out.

    A semicolon in the body of a function in standard SQL (BEGIN ATOMIC) splits, too.
    """
    found: list[list[Word]] = [[]]
    for word in words(text):
        if word.says(";"):
            found.append([])
        else:
            found[-1].append(word)
    return [each for each in found if any(word.kind != "space" for word in each)]


def code(given: Iterable[Word]) -> list[Word]:
    """Without spaces and comments."""
    return [word for word in given if word.kind != "space"]


def first_word(given: Iterable[Word]) -> str:
    """In small letters; what stands in a query's place, such as SELECT after an opening bracket."""
    for word in given:
        if word.kind != "space" and not word.says("("):
            return word.text.lower()
    return ""


def mended(given: Sequence[Word]) -> list[Word]:
    """The same query in a form that PostgreSQL accepts with parameters, where the rule is known:
    `type $1` becomes a cast, `EXTRACT($1 FROM x)` a call of date_part.
    """
    return _with_date_parts(with_casts(given))


def with_casts(given: Sequence[Word]) -> list[Word]:
    """`type $1` becomes a cast."""
    result: list[Word] = []
    skipping_fields = False
    for word in given:
        if skipping_fields:
            if word.kind == "space":
                continue
            skipping_fields = word.says(*_INTERVAL_FIELDS)
            if skipping_fields:
                continue
        if word.kind == "parameter":
            name, begin = _type_before(result)
            if name is not None:
                del result[begin:]
                skipping_fields = name.startswith("interval")
                result.append(replace(word, cast=name))
                if skipping_fields:
                    result.append(Word("space", " ", word.start))
                continue
        result.append(word)
    return result


def _type_before(given: Sequence[Word]) -> tuple[str | None, int]:
    """The usual type's name that a list of words ends with, and where it begins there."""
    recent = range(max(0, len(given) - 24), len(given))
    places = [place for place in recent if given[place].kind != "space"]
    last = [given[place].text.lower() for place in places]
    for long in _LONG_TYPES:
        if tuple(last[-len(long) :]) == long:
            return " ".join(long), places[-len(long)]
    digits = ""
    if last[-1:] == [")"] and len(last) >= 4 and last[-3] == "(" and last[-2].isdigit():
        digits, places, last = f"({last[-2]})", places[:-3], last[:-3]
    if not last or last[-1] not in TYPES or given[places[-1]].kind != "name":
        return None, 0
    if len(last) > 1 and last[-2] in (".", "as"):
        return None, 0
    return last[-1] + digits, places[-1]


def _with_date_parts(given: Sequence[Word]) -> list[Word]:
    result = list(given)
    places = [place for place, word in enumerate(result) if word.kind != "space"]
    for function, bracket, field, source in zip(
        places, places[1:], places[2:], places[3:], strict=False
    ):
        if (
            result[function].says("extract")
            and result[bracket].says("(")
            and result[field].kind == "parameter"
            and result[source].says("from")
        ):
            result[function] = replace(result[function], text="date_part")
            result[field] = replace(result[field], cast=result[field].cast or "text")
            result[source] = replace(result[source], kind="sign", text=",")
    return result


def parseable(text: str) -> str:
    """The one statement of a text as sqlglot can read it: without comments, long lists shortened.

    Raises:
        Unreadable: no statement or several, words that do not end, or too many words.
    """
    found = _shortened(code(mended(statement(text))))
    if len(found) > MOST_WORDS:
        raise Unreadable(f"too long to be understood: {len(found):,} words")
    return " ".join(
        f"CAST({word.text} AS {word.cast})" if word.cast else word.text for word in found
    )


def _shortened(real: Sequence[Word]) -> list[Word]:
    """Without constants beyond the first of a list after IN or ARRAY (arguments of a function are
    all kept), and rows beyond the first of VALUES.
    """
    result: list[Word] = []
    place = 0
    while place < len(real):
        word = real[place]
        result.append(word)
        place += 1
        if word.says("in", "array") and place < len(real) and real[place].says("(", "["):
            result.append(real[place])
            place = _list_shortened(real, place + 1, result)
        elif word.says("values"):
            place = _rows_shortened(real, place, result)
    return result


def _list_shortened(real: Sequence[Word], place: int, result: list[Word]) -> int:
    """Copies a list's first constants; returns where to go on: its end, or what is no constant."""
    for count in range(len(real)):
        if place + 1 >= len(real) or real[place].kind not in ("parameter", "string", "number"):
            break
        last = real[place + 1].says(")", "]")
        if not last and not real[place + 1].says(","):
            break
        if count < LIST_KEPT:
            result.append(real[place])
        elif last:
            result.pop()  # the comma after the last that was kept
        if last:
            return place + 1
        if count < LIST_KEPT:
            result.append(real[place + 1])
        place += 2
    return place


def _rows_shortened(real: Sequence[Word], place: int, result: list[Word]) -> int:
    rows = depth = 0
    while place < len(real):
        word = real[place]
        if depth == 0 and word.says("(") and real[place - 1].says("values", ","):
            rows += 1
            if 1 < rows <= LIST_KEPT:
                result.append(Word("sign", ",", word.start))
        elif depth == 0 and not word.says(","):
            break
        depth += word.says("(") - word.says(")")
        if rows <= LIST_KEPT and (depth > 0 or word.says(")")):
            result.append(word)
        place += 1
    return place
