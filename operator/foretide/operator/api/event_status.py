"""Events as status shows them."""

from pydantic import Field

from .fields import ApiModel

MOST_AHEAD = 8
MOST_PROBLEMS = 5


class EventAheadStatus(ApiModel):
    """An event that goes on, or that is to come."""

    name: str = Field(description="Its name.")
    start: str = Field(description="When it starts (RFC 3339).")
    end: str = Field(description="When it ends (RFC 3339).")
    expected: str = Field(description="What it is expected to do to demand, and by what.")


class EventsStatus(ApiModel):
    """What is known to come."""

    ahead: list[EventAheadStatus] | None = Field(
        default=None,
        max_length=MOST_AHEAD,
        description="The events of the next two weeks, the first ones first.",
    )
    problems: list[str] | None = Field(
        default=None,
        max_length=MOST_PROBLEMS,
        description="Events that cannot be used as they are written, and what to do about it.",
    )
