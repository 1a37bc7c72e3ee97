"""What commands say where they cannot go on."""

import sys


class Refused(Exception):
    """What the user asked for cannot be done; the message says what to do instead."""


def fail(message: str) -> int:
    """Tell it in one sentence; the exit status."""
    print(f"foretide: {message}", file=sys.stderr)
    return 2


def missing(error: ImportError, extra: str) -> str:
    """That a library is not there, and what brings it: there is no release to install from yet."""
    return f"{error.name} is not installed: in a clone of Foretide, pip install '.[{extra}]'"


def note(message: str) -> None:
    """Tell something beside the output, while the work goes on."""
    print(f"foretide: {message}", file=sys.stderr, flush=True)
