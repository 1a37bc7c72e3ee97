"""How pods are profiled: a part of the operator's configuration."""

from importlib.metadata import version
from typing import Self

from pydantic import Field, field_validator, model_validator

from .api.fields import ApiModel, Duration, http_url, lasting, within

NAMESPACE_LABEL = "foretide.dev/profiling"


class WebhookSettings(ApiModel):
    """The webhook that gives new pods their sidecar, in namespaces that ask for it."""

    listen: str = Field(
        default="0.0.0.0:9443",
        pattern=r"^[^\s]+:[0-9]{1,5}$",
        description="HOST:PORT for the API server's calls.",
    )
    service: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]+/[a-z0-9-]+$",
        description="NAMESPACE/NAME of the Service, with port 443, through which the API server reaches it.",
    )
    url: str | None = Field(
        default=None, description="Its URL (https), where it is not reached through a Service."
    )

    @field_validator("url")
    @classmethod
    def _https(cls, value: str | None) -> str | None:
        if value is not None and not http_url(value, credentials="nothing").startswith("https:"):
            raise ValueError("url must start with https://")
        return value

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if (self.service is None) == (self.url is None):
            raise ValueError("give exactly one of service and url")
        return self


class ProfilingSettings(ApiModel):
    """How pods are profiled."""

    image: str = Field(
        default=f"foretide.dev/sampler:{version('foretide')}",
        min_length=1,
        max_length=500,
        description="The image of the sampler, as pods can pull it. It is the administrator's: no resource can name another.",
    )
    window: Duration = lasting("10s", description="The length of a window of measurement.")
    idle: Duration = lasting(
        "10m",
        description="For how long an ephemeral container waits for another run before it ends. It can be used again as long as it has not ended.",
    )
    webhook: WebhookSettings | None = Field(
        default=None,
        description="The webhook for mode Continuous; without it new pods get no sidecar but by allowRollout.",
    )

    @field_validator("window")
    @classmethod
    def _sane_window(cls, value: float) -> float:
        return within(value, "window", 2, 60)

    @field_validator("idle")
    @classmethod
    def _sane_idle(cls, value: float) -> float:
        return within(value, "idle", 10, 86_400)
