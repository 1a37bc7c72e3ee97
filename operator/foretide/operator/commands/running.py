"""What all actions of a command share: errors become one sentence and an exit status."""

import argparse
from collections.abc import Callable
from functools import wraps

from .telling import Refused, fail, missing

Action = Callable[[argparse.Namespace], int]
# Imports the errors that tell of a user's mistake, or of what cannot be helped.
Mistakes = Callable[[], tuple[type[Exception], ...]]


def running(extra: str, mistakes: Mistakes) -> Callable[[Action], Action]:
    """Run an action; what went wrong is told and not raised. `extra` is what brings its libraries,
    without which `mistakes` cannot be imported.
    """

    def wrapped(action: Action) -> Action:
        @wraps(action)
        def run(options: argparse.Namespace) -> int:
            try:
                told: tuple[type[Exception], ...] = (*mistakes(), Refused)
            except ImportError as error:
                return fail(missing(error, extra))
            try:
                return action(options)
            except ImportError as error:
                return fail(missing(error, extra))
            except told as error:
                return fail(str(error))
            except BrokenPipeError:
                return 0
            except OSError as error:
                return fail(str(error))
            except KeyboardInterrupt:
                return 130

        return run

    return wrapped
