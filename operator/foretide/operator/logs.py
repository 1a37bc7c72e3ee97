"""Logs: one JSON object a line in a cluster, plain text for people at a terminal."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

NOT_INSTALLED = (
    "The cluster does not know PredictiveScalers: kubectl apply -f crds/ "
    "(or foretide crds | kubectl apply -f -). Until then the operator waits for them."
)


def in_our_words(record: logging.LogRecord) -> bool:
    """Whether to log it: what kopf says of kinds that are not installed is put as users need it.

    A cluster without KEDA is nothing to tell of. Kopf notices when a kind is installed later, and
    tries again where it was too early.
    """
    if not record.name.startswith("kopf"):
        return True
    said = record.getMessage()
    if said.startswith("Unresolved resources"):
        if "predictivescalers" not in said:
            return False
        record.msg, record.args = NOT_INSTALLED, ()
    return not ("storage is (re)initializing" in said and "will retry" in said)


def configure(style: str, *, verbose: bool = False) -> None:
    """Set up logging to standard error. `style` is `json` or `text`."""
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(
            JsonFormatter(
                "%(asctime)s %(levelname)s %(name)s %(message)s",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
                datefmt="%Y-%m-%dT%H:%M:%S%z",
            )
        )
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    handler.addFilter(in_our_words)
    # These tell of every request or object; with --verbose they may.
    for name in ("kopf", "httpx", "httpcore", "urllib3", "asyncio", "kubernetes"):
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.WARNING)
