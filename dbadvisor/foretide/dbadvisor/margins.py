"""Sizes that a budget can rely on, where ANALYZE has estimated from a sample how many values there
are: an index with more of them than it says would be larger than foreseen.

Its estimator (Duj1: Haas and Stokes, "Estimating the number of classes in a finite population",
JASA 1998) counts on all values being equally frequent. Where they are as frequent as drawn, a row
shares its value with `rate` others on average, and that is what the estimator sees: there are up to
a third more values then.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

from foretide.dbadvisor.snapshot import Column, Table

SAMPLED = 30_000  # rows that ANALYZE looks at; of fewer it knows all values


def cautious(tables: Iterable[Table]) -> tuple[Table, ...]:
    """The tables, with as many values in their columns as there may be."""
    return tuple(
        replace(table, columns=tuple(map(_cautious, table.columns)))
        if table.rows > SAMPLED
        else table
        for table in tables
    )


def _cautious(column: Column) -> Column:
    """A share of the rows is what is kept of many values; of few nearly all have been seen."""
    known = column.statistics
    if known is None or not -1 < known.distinct < 0:
        return column
    rate = -1 / known.distinct - 1
    share = -math.expm1(-rate) / rate if rate > 1e-6 else 1.0
    return replace(column, statistics=replace(known, distinct=-min(1.0, share)))
