"""What the operator keeps in memory of a resource whose status is written as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from .settings import explain

Json = dict[str, Any]
S = TypeVar("S", bound=BaseModel)


@dataclass(slots=True)
class Kept(Generic[S]):
    """One resource. `spec` is None where it is not valid; `invalid` then says why. `newest` is a
    version that waits for the next tick. The last three are what was told (`publishing.Published`).
    """

    uid: str
    namespace: str
    name: str
    body: Mapping[str, Any]
    spec: S | None = None
    invalid: str = ""
    generation: int | None = None
    status: Json = field(default_factory=dict)
    newest: Mapping[str, Any] | None = None
    written_at: float = 0.0
    noticed: Any = None
    announced: dict[str, tuple[str, str]] = field(default_factory=dict)

    def take_over(self, body: Mapping[str, Any], model: type[S]) -> S | None:
        """Take over a new version; its spec, if that is valid."""
        self.body = body
        self.generation = body["metadata"].get("generation")
        self.noticed = None
        try:
            self.spec = model.model_validate(body.get("spec") or {})
        except ValidationError as error:
            self.spec, self.invalid = None, explain(error)
        else:
            self.invalid = ""
        return self.spec


def named(body: Mapping[str, Any]) -> tuple[str, str, str, Mapping[str, Any], Json]:
    """The uid, namespace, name, body and status of a resource."""
    meta = body["metadata"]
    return meta["uid"], meta["namespace"], meta["name"], body, dict(body.get("status") or {})
