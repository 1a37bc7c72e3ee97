"""Takes windows of running Python processes: py-spy's stacks, joined with looks at /proc.

Standard library and the py-spy binary only: it runs inside users' pods.
"""

from .budget import Budget
from .pyspy import PySpyError
from .session import Sampler, TargetGone, sample
from .wire import MARKER, read_windows, to_packed_line

__all__ = [
    "MARKER",
    "Budget",
    "PySpyError",
    "Sampler",
    "TargetGone",
    "read_windows",
    "sample",
    "to_packed_line",
]
