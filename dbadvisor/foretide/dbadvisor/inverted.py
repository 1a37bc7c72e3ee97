"""GIN indexes for conditions that no b-tree serves: what a document or an array holds, and parts of
texts. HypoPG cannot try them, so that they are proposed beside a scan, and never chosen.
"""

from collections.abc import Iterable, Mapping, Sequence

from foretide.dbadvisor.ddl import qualified, quoted
from foretide.dbadvisor.normalized import Unreadable, Word, code, words
from foretide.dbadvisor.scans import TableScan
from foretide.dbadvisor.snapshot import Index, Relation, Table

# By the type of a column: the operators of conditions, and the operator class that serves them.
_ARRAY = "[]"
_CLASSES: Mapping[str, Sequence[tuple[frozenset[str], str]]] = {
    "jsonb": (
        (frozenset({"@>", "@?", "@@"}), "jsonb_path_ops"),
        (frozenset({"?", "?|", "?&"}), ""),
    ),
    _ARRAY: ((frozenset({"@>", "<@", "&&"}), ""),),
    "tsvector": ((frozenset({"@@"}), ""),),
    "text": ((frozenset({"~~*", "~", "~*"}), "gin_trgm_ops"),),
    "character varying": ((frozenset({"~~*", "~", "~*"}), "gin_trgm_ops"),),
}
_NAMES = ("name", "quoted")
_TRIGRAMS = "CREATE EXTENSION IF NOT EXISTS pg_trgm"
# A scan that keeps more of its rows is no work for an index.
FEW = 0.1


def remedy(scan: TableScan, tables: Mapping[Relation, Table], indexes: Iterable[Index]) -> str:
    """The statements that create an index which may serve a scan; "" if none is known.

    None for a partitioned table: there it takes more than one statement.
    """
    table = tables.get(scan.table)
    if table is None or table.kind != "r" or scan.returns > FEW * scan.reads:
        return ""
    there = {
        key.column
        for index in indexes
        if index.table == scan.table and index.method == "gin"
        for key in index.keys
    }
    for text in scan.filters:
        for column, operator in _conditions(text):
            found = _class_for(table, column, operator)
            if found is None or column in there:
                continue
            key = f"{quoted(column)} {found}".strip()
            creation = f"CREATE INDEX CONCURRENTLY ON {qualified(scan.table)} USING gin ({key})"
            return f"{_TRIGRAMS}; {creation}" if found == "gin_trgm_ops" else creation
    return ""


def _class_for(table: Table, column: str, operator: str) -> str | None:
    """The operator class, "" for the usual one; None if GIN does not serve it."""
    types = {each.name: each.type for each in table.columns}
    kind = types.get(column, "")
    kind = _ARRAY if kind.endswith(_ARRAY) else kind.partition("(")[0]
    for operators, name in _CLASSES.get(kind, ()):
        if operator in operators:
            return name
    return None


def _conditions(text: str) -> list[tuple[str, str]]:
    """Columns of a filter, as EXPLAIN writes it, with the operators behind them."""
    try:
        found = code(words(text))
    except Unreadable:
        return []
    pairs = []
    for place, word in enumerate(found):
        if word.kind == "operator" and word.text != "::":
            column = _column_before(found[:place])
            if column:
                pairs.append((column, word.text))
    return pairs


def _column_before(given: Sequence[Word]) -> str:
    """The column at the end of these words: `doc`, `a.doc`, `(a.doc)::text`; "" if it is none."""
    left = list(given)
    while len(left) > 2 and left[-2].text == "::":
        del left[-2:]
    in_brackets = bool(left) and left[-1].says(")")
    if in_brackets:
        left.pop()
    if not left or left[-1].kind not in _NAMES:
        return ""
    name = left.pop()
    if len(left) > 1 and left[-1].says("."):
        del left[-2:]
    # What stands in the brackets of a function is not what is asked for.
    opening = left.pop() if in_brackets and left else name
    if in_brackets and (not opening.says("(") or (left and left[-1].kind in _NAMES)):
        return ""
    return name.text[1:-1].replace('""', '"') if name.kind == "quoted" else name.text
