"""How all commands of `foretide` read their arguments: what is wrong with them is one sentence."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from .telling import fail

# What argparse says, and what we say for it.
_PLAINLY = (
    (r"the following arguments are required: (.*)", r"\1 must be given"),
    (r"one of the arguments (.*) is required", r"one of \1 must be given"),
    (
        r"argument (.+?): invalid choice: (.+?) \(choose from (.*)\)",
        r"\1 must be one of \3, not \2",
    ),
    (r"argument (.+?): invalid int value: (.*)", r"\1 must be a whole number, not \2"),
    (r"argument (.+?): invalid float value: (.*)", r"\1 must be a number, not \2"),
    (r"argument (.+?): expected one argument", r"\1 wants a value"),
    (r"unrecognized arguments: (.*)", r"\1 is not known here"),
    (r"argument (.*)", r"\1"),
)
# Where a password may stand in what somebody has typed.
_SECRETS = (r"(://[^:/@\s]*:)[^\s]*(?=@)", r"(\bpassword\s*=\s*)(?:'[^']*'?|\S+)")


class _Parser(argparse.ArgumentParser):
    """Commands added to it are of this class, too."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.set_defaults(parser=self)

    def error(self, message: str) -> NoReturn:
        """Tell it in one sentence, without the usage, and exit with 2."""
        for theirs, ours in _PLAINLY:
            said, found = re.subn(f"^{theirs}$", ours, message, flags=re.DOTALL)
            if found:
                message = said
                break
        for secret in _SECRETS:
            message = re.sub(secret, r"\1***", message, flags=re.IGNORECASE)
        raise SystemExit(fail(f"{message}; see {self.prog} --help"))


def new_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A command line to which commands can be added."""
    return _Parser(prog=prog, description=description)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the arguments say. Those that nobody knows are told by the command that was named.

    Raises:
        SystemExit: with 2 where they make no sense, with 0 after help.
    """
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options
