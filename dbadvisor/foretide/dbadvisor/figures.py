"""Figures as people read them, with their units."""


def size(amount: float) -> str:
    """Bytes as people read them: 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def time_of(ms: float) -> str:
    """Milliseconds as people read them: 3.4 h."""
    if ms < 1000:
        return f"{ms:.3g} ms"
    seconds = ms / 1000
    for unit, length in (("s", 60.0), ("min", 60.0), ("h", 24.0)):
        if seconds < 2 * length:
            return f"{seconds:.3g} {unit}"
        seconds /= length
    return f"{seconds:,.1f} days"


def number(amount: float, one: str, several: str = "") -> str:
    """So many of something: 1 query, 1,200 queries. `several` is `one` with an s as a rule."""
    return f"{amount:,.0f} {one if amount == 1 else several or one + 's'}"
