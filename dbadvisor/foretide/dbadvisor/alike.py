"""Queries of a file that differ in their constants only, as a log has them by the thousand.

They become one query, as pg_stat_statements would have it. Constants that are the same in all of
them stay: a LIMIT, the place of a column in GROUP BY, a state that is always asked for.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from foretide.dbadvisor.forms import MOST_SAMPLES
from foretide.dbadvisor.nplusone.texts import LONGEST, normalize, tokens
from foretide.dbadvisor.snapshot import Query

_CONSTANTS = ("string", "number")


def merged(queries: Iterable[Query]) -> Iterator[Query]:
    """One query where more differ in constants only than would be looked at of one (few stay as
    they are: nothing is lost of them). It is planned for any value, and for some of theirs.
    """
    groups: dict[tuple[str, int], list[Query]] = defaultdict(list)
    for query in queries:
        # Whose constants are not known, or whose text is not seen whole, is like no other.
        if not query.samples or len(query.text) > LONGEST:
            yield query
            continue
        seen = normalize(query.text)
        groups[seen.fingerprint, len(seen.constants)].append(query)
    for some in groups.values():
        if len(some) <= MOST_SAMPLES:
            yield from some
        else:
            yield _one(some)


def _one(some: Sequence[Query]) -> Query:
    text = _shared([query.text for query in some])
    apart = len(some) / MOST_SAMPLES
    return replace(
        some[0],
        id=hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16],
        text=text,
        calls=sum(query.calls for query in some),
        total_ms=sum(query.total_ms for query in some),
        samples=tuple(some[int(place * apart)].text for place in range(MOST_SAMPLES)),
    )


def _shared(texts: Sequence[str]) -> str:
    """The text of all of them, with `$n` for the constants that are not the same in all."""
    first = normalize(texts[0])
    every = zip(*(normalize(text).constants for text in texts), strict=True)
    differ = [len(set(values)) > 1 for values in every]
    written = [
        # A minus before a number is part of it.
        str(constant) if kind == "number" else token
        for constant, (kind, token) in zip(
            first.constants,
            (one for one in tokens(texts[0]) if one[0] in _CONSTANTS),
            strict=True,
        )
    ]
    parts: list[str] = []
    number = 0
    for kind, token in tokens(first.text):
        if kind != "parameter":
            parts.append(token)
            continue
        place = int(token[1:]) - 1
        number += differ[place]
        parts.append(f"${number}" if differ[place] else written[place])
    return "".join(parts)
