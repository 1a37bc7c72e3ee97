"""Logs: one JSON object a line in a cluster, plain text for people at a terminal."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def _without_absent_keda(record: logging.LogRecord) -> bool:
    """A cluster without KEDA is nothing to warn of; kopf notices when it is installed later."""
    return not (
        record.name.startswith("kopf")
        and record.getMessage().startswith("Unresolved resources")
        and "predictivescalers" not in record.getMessage()
    )


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
    handler.addFilter(_without_absent_keda)
    # These tell of every request or object; with --verbose they may.
    for name in ("kopf", "httpx", "httpcore", "urllib3", "asyncio", "kubernetes"):
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.WARNING)
