"""The engines by name. Heavy libraries are imported for those who ask for them only."""

from collections.abc import Sequence

from .base import Engine

# Judged against one another on each history. The others have been behind these on every trace that
# they were tried on, and their libraries take seconds to import.
AUTO = ("SeasonalNaive", "SimpleSmoothing", "Holt", "Pattern", "Boosted")
ALL = (*AUTO, "MSTL", "AutoETS", "AutoTheta", "Prophet")


def engine_named(name: str) -> Engine:
    """The engine of that name.

    Raises:
        ValueError: there is none; the message names those that there are.
    """
    if name == "Boosted":
        from .boosted import Boosted

        return Boosted()
    if name == "Prophet":
        from .prophet import Prophet

        return Prophet()
    if name in ("MSTL", "AutoETS", "AutoTheta"):
        from . import classic

        return {"MSTL": classic.MSTL, "AutoETS": classic.AUTO_ETS}.get(name, classic.AUTO_THETA)
    return _light(name)


def _light(name: str) -> Engine:
    from .naive import SeasonalNaive
    from .pattern import Pattern
    from .smoothing import Smoothing

    light: dict[str, Engine] = {
        "SeasonalNaive": SeasonalNaive(),
        "SimpleSmoothing": Smoothing(),
        "Holt": Smoothing(trend=True),
        "Pattern": Pattern(),
    }
    if name not in light:
        raise ValueError(f"no engine {name!r}: there are {', '.join(ALL)}")
    return light[name]


def engines_named(names: Sequence[str]) -> list[Engine]:
    """Several, in that order."""
    return [engine_named(name) for name in names]
