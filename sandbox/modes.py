"""What the player shows for a series: the trace, or one of the ways in which metrics go wrong.

A mode is "play" (the trace), "nan" (NaN), "absent" (the series is not there), "zero" (exactly 0),
"stale" (the last sample again and again, with its old timestamp) or a constant number.
"""

from sandbox.errors import SandboxError

MODES = ("play", "nan", "absent", "zero", "stale")


def check_mode(mode: str | float) -> None:
    """Raise SandboxError unless `mode` is one of MODES or a number."""
    if isinstance(mode, bool) or (isinstance(mode, str) and mode not in MODES):
        raise SandboxError(f"{mode!r} is not a mode: choose {', '.join(MODES)} or a number")


def parse_mode(text: str) -> str | float:
    """A mode from the command line: one of MODES, or a number."""
    try:
        return text if text in MODES else float(text)
    except ValueError:
        check_mode(text)
        raise
