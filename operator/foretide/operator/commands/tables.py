"""Tables of what a store keeps, as its commands print them."""

from collections.abc import Sequence
from datetime import UTC, datetime


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, the first with their names."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def size_of(size: float) -> str:
    """Bytes as people read them: 2 MB."""
    for unit in ("B", "KB", "MB"):
        if size < 1_000:
            return f"{size:.3g} {unit}"
        size /= 1_000
    return f"{size:.3g} GB"


def time_of(seconds: float) -> str:
    """A moment (Unix seconds) by RFC 3339."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
