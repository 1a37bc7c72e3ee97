"""What the handlers of the HTTP API have in common: reading parameters, and answering."""

from aiohttp import web

from . import messages
from .errors import StoreError, StoreRefused


def answer(message: messages.Message) -> web.Response:
    """A message as the body of a response."""
    return web.Response(text=message.model_dump_json(), content_type="application/json")


def failure(status: int, reason: str, message: str) -> web.Response:
    """Why not, as a response."""
    response = answer(messages.ErrorAnswer(error=messages.Trouble(reason=reason, message=message)))
    response.set_status(status)
    return response


def status_of(error: StoreError) -> int:
    """The HTTP status that an error stands for."""
    if isinstance(error, StoreRefused):
        return {"TooLarge": 413, "NoProfile": 404, "NoReport": 404}.get(error.reason, 400)
    return 503


def wanted(request: web.Request, name: str) -> str:
    """A parameter that must be there. Raises `StoreRefused`."""
    if not (value := request.query.get(name)):
        raise StoreRefused("Malformed", f"the parameter {name} is missing")
    return value


def number(request: web.Request, name: str) -> float:
    """A parameter that must be a time. Raises `StoreRefused`."""
    try:
        return float(wanted(request, name))
    except ValueError:
        raise StoreRefused("BadTime", f"{name} is not a number: Unix seconds are wanted") from None
