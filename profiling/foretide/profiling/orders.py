"""What the resident sampler is told to do, and that it cannot. Standard library only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Order:
    """What to sample: for `seconds` (None: until told otherwise), in windows of so many seconds."""

    run: str = ""
    seconds: float | None = None
    rate: float = 20.0
    window: float = 10.0
    locals: bool = False
    container_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def changed_by(self, text: str) -> "Order":
        """The same with what an order says.

        Raises:
            ValueError: it is no order.
        """
        said = json.loads(text)
        if not isinstance(said, dict) or said.keys() - {"run", "seconds", "rate", "window"}:
            raise ValueError("an order has run, seconds, rate and window")
        numbers = {key: float(said[key]) for key in ("seconds", "rate", "window") if key in said}
        if any(not 0 < number <= 86_400 for number in numbers.values()):
            raise ValueError("seconds, rate and window are positive, and a day at the most")
        return replace(
            self,
            run=str(said.get("run", "")),
            seconds=numbers.get("seconds", self.seconds),
            rate=numbers.get("rate", self.rate),
            window=numbers.get("window", self.window),
        )


class SamplingRefused(Exception):
    """The application cannot be looked into; `reason` is for machines."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
