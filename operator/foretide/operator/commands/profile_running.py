"""What all actions of `foretide profile` share."""

from .running import running as _running


def _mistakes() -> tuple[type[Exception], ...]:
    from foretide.profiling.profile import BadProfile

    return (BadProfile,)


running = _running("profiling", _mistakes)
