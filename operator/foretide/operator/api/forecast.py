"""How demand is forecast, as it is written in a resource."""

from enum import StrEnum
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from .fields import ApiModel, Duration, lasting, within

# What is planned for where the quantile is not given and no replay of the past can find a plan:
# by a model that has no plans, and beyond the lead time.
USUAL_QUANTILE = 0.975


class Engine(StrEnum):
    """Who forecasts.

    `Auto` is Lookahead for scaling, and beside it a mixture of five others for the horizon
    (`foretide.forecasting.engines.catalogue.AUTO`); any other name is that engine alone.
    """

    AUTO = "Auto"
    LOOKAHEAD = "Lookahead"
    SEASONAL_NAIVE = "SeasonalNaive"
    SIMPLE_SMOOTHING = "SimpleSmoothing"
    HOLT = "Holt"
    MSTL = "MSTL"
    AUTO_ETS = "AutoETS"
    AUTO_THETA = "AutoTheta"
    PATTERN = "Pattern"
    BOOSTED = "Boosted"
    PROPHET = "Prophet"


class ForecastSpec(ApiModel):
    """How demand is forecast."""

    engine: Engine = Field(
        default=Engine.AUTO,
        description="Auto: Lookahead for scaling, which learns the maximum of demand over the lead time directly; and for the hours beyond it a mixture of SeasonalNaive, SimpleSmoothing, Holt, Pattern and Boosted, each weighted by how good it has been on this workload's own past. Any other name: that engine alone, for both. Lookahead alone says nothing of the hours ahead.",
    )
    history: Duration = lasting(
        "14d",
        description="How much history is used, at most. 14d sees two weeks of weekly pattern.",
    )
    min_history: Duration = lasting(
        "2d",
        description="With less history than this no forecast is made; scaling is reactive at targetUtilization.",
    )
    step: Duration = lasting(
        "5m",
        description="Resolution of the forecast beyond the lead time, of the maximum of demand within each step. Lookahead always works by the minute.",
    )
    quantile: float | None = Field(
        default=None,
        ge=0.5,
        lt=1,
        description="Which upper quantile of demand is scaled for; higher is safer and costs more. Best left out: Foretide then replays the workload's own past for the plan that would have been both safer and cheaper than HPA at targetUtilization, and where there is none the forecast does not act. Engines other than Auto and Lookahead use 0.975 then.",
    )
    horizon: Duration = lasting(
        "30h",
        description="How far a forecast reaches. It must cover refitEvery and leadTime; with 24h more, status always shows the next day's peak.",
    )
    refit_every: Duration = lasting(
        "6h",
        description="How often models are fitted anew to recent history. Meanwhile they go on with demand as it comes.",
    )
    lead_time: Duration = lasting(
        "3m",
        description="How long before demand arrives replicas are added: the time from a change of replicas until new pods are ready, plus a margin. With learnLeadTime it holds until enough pods have been seen to start.",
    )
    learn_lead_time: bool = Field(
        default=True,
        description="Whether the lead time is measured: the 90th percentile of the time that the target's pods take to become ready, once they have been seen to start at five different times.",
    )
    time_zone: str = Field(
        default="UTC",
        max_length=64,
        description="IANA time zone whose days and weeks the demand follows, for example Europe/Berlin.",
    )

    @property
    def looks_ahead(self) -> bool:
        """Whether scaling acts on the lookahead model."""
        return self.engine in (Engine.AUTO, Engine.LOOKAHEAD)

    @property
    def horizon_engine(self) -> Engine | None:
        """Who forecasts the horizon, `Auto` for the mixture; None when nobody does."""
        return None if self.engine is Engine.LOOKAHEAD else self.engine

    @property
    def horizon_quantile(self) -> float:
        """The upper quantile of the forecast of the horizon."""
        return USUAL_QUANTILE if self.quantile is None else self.quantile

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"timeZone {value!r} is not an IANA time zone") from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        within(self.history, "forecast.history", 3_600, 400 * 86_400)
        within(self.min_history, "forecast.minHistory", 600, self.history)
        within(self.step, "forecast.step", 10, 3_600)
        within(self.refit_every, "forecast.refitEvery", 60, 7 * 86_400)
        within(self.lead_time, "forecast.leadTime", 0, 4 * 3_600)
        if self.horizon < self.refit_every + self.lead_time:
            raise ValueError(
                "forecast.horizon must be at least refitEvery and leadTime together: "
                "raise horizon, or lower refitEvery"
            )
        within(self.horizon, "forecast.horizon", 0, 30 * 86_400)
        if max(self.history, self.horizon) / self.step > 50_000:
            raise ValueError("forecast has more than 50000 steps: raise forecast.step")
        return self
