"""What a statement that writes reads, as a query of its own.

To plan UPDATE, DELETE or FOR UPDATE takes the right to write, which a user for advice need not
have. What an index could make faster is how rows are found, and a SELECT finds them in the same
way: it asks for their places (ctid), so that no index alone could answer.
"""

from collections.abc import Iterator, Sequence

from foretide.dbadvisor.normalized import Word, code, first_word
from foretide.dbadvisor.repairing import Draft

# What begins the parts of each statement.
_HEADS = {
    "update": ("set", "from", "where", "returning"),
    "delete": ("from", "using", "where", "returning"),
    "insert": ("with", "select", "conflict", "returning"),
}
_ENDS_OF_LOCKS = (")", "limit", "offset", "fetch")


def reading(draft: Draft) -> Draft | None:
    """The query of what a statement reads; None if that is all that it does, or if it is not known.

    Of `UPDATE job AS j SET state = $1 FROM host h WHERE j.host = h.id` it is
    `SELECT j.ctid FROM job AS j, host h WHERE j.host = h.id`.
    """
    words = _without_locks(draft.words)
    if first_word(words) in ("with", *_HEADS):
        start = next((place for place, word in _outer(words) if word.says(*_HEADS)), None)
        if start is None:
            return None
        read = _read(words[start:])
        if not read:
            return None
        words = [*words[:start], *read]
    return Draft.stripped(words) if words != list(draft.words) else None


def writes(draft: Draft) -> bool:
    """Whether it does more than to read, or locks what it reads."""
    outer = (word for _, word in _outer(draft.words))
    return any(word.says("merge", *_HEADS) for word in outer)


def only_adds(draft: Draft) -> bool:
    """Whether it adds rows that are given, for which nothing is looked for."""
    return first_word(draft.words) == "insert" and not any(
        word.says("select", "with") for word in draft.words
    )


def _read(words: Sequence[Word]) -> list[Word]:
    """Of a statement from its UPDATE, DELETE or INSERT on; nothing if it looks for no rows."""
    parts = _parts(words)
    if words[0].says("insert"):
        return _selected(parts)
    target = parts["update"] if words[0].says("update") else parts.get("from", [])
    others = parts.get("from", []) if words[0].says("update") else parts.get("using", [])
    names = [word for word in target if word.kind in ("name", "quoted")]
    if not names:
        return []
    found = [
        _new("SELECT "),
        *_queries(parts.get("set", [])),
        names[-1],
        _new(".ctid FROM "),
        *target,
    ]
    if others:
        found += [_new(", "), *others]
    if "where" in parts:
        found += [_new(" WHERE "), *parts["where"]]
    return found


def _selected(parts: dict[str, list[Word]]) -> list[Word]:
    """The query whose rows are added."""
    found = []
    for head in ("with", "select"):
        if head in parts:
            found += [_new(f"{head} "), *parts[head]]
    if found and "conflict" in parts:
        while not found.pop().says("on"):
            pass
    return found


def _parts(words: Sequence[Word]) -> dict[str, list[Word]]:
    """What follows each of a statement's heads."""
    name = words[0].text.lower()
    left = set(_HEADS[name])
    found: dict[str, list[Word]] = {name: []}
    outer = {place for place, _ in _outer(words)}
    before = words[0]
    for place, word in enumerate(words[1:], 1):
        # IS DISTINCT FROM begins nothing.
        if place in outer and word.says(*left) and not before.says("distinct"):
            name = word.text.lower()
            left.remove(name)
            found[name] = []
        else:
            found[name].append(word)
        before = before if word.kind == "space" else word
    return found


def _queries(assignments: Sequence[Word]) -> Iterator[Word]:
    """The queries in brackets that columns are set to, each as something that is selected."""
    depth = 0
    taken = False
    for place, word in enumerate(assignments):
        if depth == 0 and word.says("("):
            taken = first_word(assignments[place:]) == "select"
        if taken:
            yield word
        depth += word.says("(") - word.says(")")
        if taken and depth == 0:
            taken = False
            yield _new(", ")


def _without_locks(words: Sequence[Word]) -> list[Word]:
    """Without FOR UPDATE and its like, wherever they stand."""
    kept: list[Word] = []
    locked = False
    for place, word in enumerate(words):
        if word.says("for"):
            locked = _locks([each.text.lower() for each in code(words[place + 1 : place + 6])])
        elif word.says(*_ENDS_OF_LOCKS):
            locked = False
        if not locked:
            kept.append(word)
    return kept


def _locks(following: Sequence[str]) -> bool:
    return following[:1] in (["update"], ["share"]) or following[:2] in (
        ["no", "key"],
        ["key", "share"],
    )


def _outer(words: Sequence[Word]) -> Iterator[tuple[int, Word]]:
    """Those outside all brackets, with their places."""
    depth = 0
    for place, word in enumerate(words):
        depth -= word.says(")")
        if depth == 0:
            yield place, word
        depth += word.says("(")


def _new(text: str) -> Word:
    return Word("other", text, 0)
