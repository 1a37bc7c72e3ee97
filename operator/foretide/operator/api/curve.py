"""The load curve of a metric, as it is written in a resource."""

import math
from collections.abc import Sequence

from pydantic import Field, field_validator

from foretide.forecasting.load_curve import LoadCurve

from .fields import ApiModel, Quantity

MOST_POINTS = 20


class CurvePointSpec(ApiModel):
    """What a number of replicas carries together."""

    replicas: int = Field(ge=1, le=1_000_000, description="A number of replicas.")
    # No rule in CEL: the API server takes a quantity for a string of megabytes, and would refuse a
    # rule that looks at two hundred of them. A bound holds for numbers; text is left to the model.
    load: Quantity = Field(
        json_schema_extra={"minimum": 0, "exclusiveMinimum": True},
        description='The demand that so many replicas carry safely together, in the unit of the query: 900, 500m, 2k, or "0.5" in quotes.',
    )

    @field_validator("load")
    @classmethod
    def _positive(cls, value: float) -> float:
        if not 0 < value < math.inf:
            raise ValueError("load must be greater than 0, and finite")
        return value


def to_curve(points: Sequence[CurvePointSpec]) -> LoadCurve:
    """The curve through the points.

    Raises:
        ValueError: replicas or load do not rise from point to point.
    """
    return LoadCurve(tuple((point.replicas, point.load) for point in points))


# CEL for `spec.metrics[].loadCurve`. That load rises is left to the model: quantities are integers
# or strings, and comparing each with its neighbour costs more than a rule may.
CURVE_RULES = [
    {
        "rule": "self.map(point, point.replicas).isSorted()"
        " && self.all(point, self.exists_one(other, other.replicas == point.replicas))",
        "message": "loadCurve must be sorted by replicas, each number once",
    }
]
