"""Figures, sizes and texts as a status shows them. Pure."""

# Characters of a text.
LONGEST_TEXT = 500


def shortened(text: str, most: int = LONGEST_TEXT) -> str:
    """On one line, and no longer than that."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def quantity(size: float) -> str:
    """Bytes as a Kubernetes quantity, to about three digits: 2162688 is 2.06Mi."""
    for unit, bits in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if size >= 2**bits:
            return f"{figure(size / 2**bits)}{unit}"
    return f"{max(0.0, size):.0f}"


def figure(value: float) -> str:
    """A number as people read it: about three digits."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".")
