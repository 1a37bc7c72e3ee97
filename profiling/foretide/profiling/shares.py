"""How far a share that was sampled may be from the true one."""

from collections.abc import Mapping, Sequence

# Samples of one window resemble each other: a program stays at what it does. The variance between
# windows was measured to be 1.7 to 2.6 times that of independent samples; where there are too few
# windows to measure it, this is taken.
USUAL_DESIGN_EFFECT = 2.2
_LEAST_WINDOWS = 8
_Z = 1.96


def wilson(share: float, samples: float, design_effect: float = 1.0) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, JASA 22, 1927), of samples that are not independent.

    It stays within 0 and 1, and is honest for a function that was never seen, too.
    """
    n = samples / max(design_effect, 1e-9)
    if n <= 0:
        return 0.0, 1.0
    spread = _Z * ((share * (1 - share) + _Z**2 / (4 * n)) / n) ** 0.5
    middle, scale = share + _Z**2 / (2 * n), 1 + _Z**2 / n
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def design_effects(
    units: Sequence[Mapping[str, float]], totals: Sequence[float], samples: float
) -> Mapping[str, float]:
    """For each name, the variance of its share over that of independent samples.

    `units` is what each window spent under each name, of its total in `totals`. The share is a
    ratio of two sums, with windows as clusters (Kish, "Survey Sampling", 1965, chapter 6). Empty
    where there are too few windows.
    """
    used = [index for index, total in enumerate(totals) if total > 0]
    n, total = len(used), sum(totals)
    if n < _LEAST_WINDOWS or samples <= 0:
        return {}
    found = {}
    for name in {name for unit in units for name in unit}:
        share = sum(units[index].get(name, 0.0) for index in used) / total
        simple = share * (1 - share) / samples
        if simple <= 0:
            continue
        squares = sum((units[i].get(name, 0.0) - share * totals[i]) ** 2 for i in used)
        clustered = squares / n / (n - 1) / (total / n) ** 2
        # Windows that differ less than chance would have it are luck.
        found[name] = max(1.0, clustered / simple)
    return found
