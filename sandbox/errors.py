"""The one error that callers of the sandbox need to catch."""


class SandboxError(Exception):
    """Something that a person can act on; its text is shown as it is, without a traceback."""
