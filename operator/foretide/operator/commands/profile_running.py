"""What all actions of `foretide profile` share: errors become one sentence and an exit status."""

import argparse
from collections.abc import Callable
from functools import wraps

from .telling import Refused, fail, missing

Action = Callable[[argparse.Namespace], int]


def running(action: Action) -> Action:
    """Run an action; what went wrong is told and not raised."""

    @wraps(action)
    def run(options: argparse.Namespace) -> int:
        try:
            from foretide.profiling.profile import BadProfile
        except ImportError as error:
            return fail(missing(error, "profiling"))
        try:
            return action(options)
        except ImportError as error:
            return fail(missing(error, "profiling"))
        except (BadProfile, Refused) as error:
            return fail(str(error))
        except BrokenPipeError:
            return 0
        except OSError as error:
            return fail(str(error))
        except KeyboardInterrupt:
            return 130

    return run
