"""The forecasts of a workload as status shows them, and the figures that they are trusted by."""

from pydantic import Field

from .fields import ApiModel


class PeakStatus(ApiModel):
    """The next peak that the forecast sees."""

    time: str = Field(description="When (RFC 3339).")
    demand: str = Field(description="Upper quantile of demand, in the unit of the query.")
    replicas: int = Field(description="Replicas that carry it, before minimum and maximum.")


class OutcomeStatus(ApiModel):
    """What a way of scaling would have come to on this workload's own past."""

    replicas: str = Field(description="Replicas on average.")
    lacking_percent: str = Field(
        description="Per cent of the time in which fewer replicas would have been ready than demand needed."
    )


class LookaheadStatus(ApiModel):
    """The model of the coming maximum that scaling acts on, and the plan by which it does."""

    fitted_at: str = Field(description="When it was fitted (RFC 3339).")
    window: str = Field(description="How far it looks ahead: the lead time and a tick.")
    quantile: float | None = Field(
        default=None,
        description="The upper quantile of the maximum that is planned for at usual demand; where demand is lower it may be higher, since safety costs less there. Absent where there is no plan.",
    )
    coverage: str | None = Field(
        default=None,
        description="The share of the time for which a quantile of this name really covered the maximum, on the newest days of the history, which neither the model nor its calibration had seen.",
    )
    slack: str | None = Field(
        default=None,
        description="Share by which replicas may exceed what is planned for before any are taken away.",
    )
    patience: str | None = Field(
        default=None,
        description="For how long what was planned for is not taken away again; absent where it is at once.",
    )
    expected: OutcomeStatus | None = Field(
        default=None, description="What the plan would have come to on the last days."
    )
    hpa: OutcomeStatus | None = Field(
        default=None, description="What HPA at targetUtilization would have come to."
    )
    message: str | None = Field(default=None, description="Why there is no plan to act by.")


class ForecastStatus(ApiModel):
    """The forecasts of one metric."""

    metric: str = Field(description="Name of the metric.")
    model: str | None = Field(
        default=None,
        description="The engine, or engines, of the forecast of the hours ahead (+Yearly: the time of year has a say); absent where there is none.",
    )
    quantile: float | None = Field(
        default=None, description="The upper quantile of the forecast of the hours ahead."
    )
    coverage: str | None = Field(
        default=None,
        description="The share of the time for which this quantile really covered demand, on the workload's own past.",
    )
    fitted_at: str | None = Field(
        default=None, description="When the forecast of the hours ahead was made (RFC 3339)."
    )
    valid_until: str | None = Field(
        default=None, description="After this time it is no longer used (RFC 3339)."
    )
    history: str = Field(description="The span of history that was learned from.")
    points: int = Field(description="The number of points in that history.")
    excluded: int | None = Field(
        default=None,
        description="Stretches of the history that were kept out, as something was wrong then: gaps, outages, incidents.",
    )
    next_peak: PeakStatus | None = Field(
        default=None, description="The highest point that is still ahead."
    )
    lookahead: LookaheadStatus | None = Field(
        default=None, description="The model of the coming maximum, where scaling acts on one."
    )
