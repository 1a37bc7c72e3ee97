"""The DatabaseAdvisor resource: which database to watch, and what may be done about it. The CRD in
`crds/` is generated from it.

Every description is shown by `kubectl explain`.
"""

from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from .fields import ApiModel, Duration, Quantity, lasting, within
from .metrics import QUANTITY_RULES
from .predictivescaler import OBJECT_NAME, Name

HOST = r"^[A-Za-z0-9:]([A-Za-z0-9.:_-]*[A-Za-z0-9:])?$"
WALL_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
TIME_ZONE = r"^[A-Za-z0-9+_/-]+$"
MOST_SHOWN = 20
DAY = 86_400

# A table as SCHEMA.TABLE; * stands for any characters.
TablePattern = Annotated[str, Field(min_length=3, max_length=127, pattern=r"^[^.]+\..+$")]
SchemaName = Annotated[str, Field(min_length=1, max_length=63)]


class AdvisorMode(StrEnum):
    """What is done with advice."""

    RECOMMEND = "Recommend"
    APPLY = "Apply"


class Day(StrEnum):
    """A day of the week."""

    MON = "Mon"
    TUE = "Tue"
    WED = "Wed"
    THU = "Thu"
    FRI = "Fri"
    SAT = "Sat"
    SUN = "Sun"


class SecretRef(ApiModel):
    """A Secret in the resource's own namespace."""

    name: Name = Field(pattern=OBJECT_NAME, description="Name of the Secret.")
    key: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description="The key that holds the whole connection, as postgresql://user:password@host:port/database or as key=value. Without it: dsn, url or uri, or else host, port, database (or dbname), user (or username), password and sslmode.",
    )


class ConnectionSpec(ApiModel):
    """How to connect to the database."""

    secret_ref: SecretRef = Field(
        description="The Secret that the connection is read from, anew at each look: a password may change at any time."
    )
    host: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        pattern=HOST,
        description="The host, where the Secret does not say it or another one is meant, such as a replica. A name without a dot is that of a Service in the resource's own namespace.",
    )
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="The port; 5432 if nobody says."
    )
    database: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        description="The database, where the Secret does not say it or another one is meant.",
    )


class MaintenanceWindowSpec(ApiModel):
    """A stretch of the week in which indexes may be built."""

    days: list[Day] = Field(
        default=list(Day),
        min_length=1,
        max_length=7,
        description="The days on which it begins; every day by default.",
    )
    start: str = Field(
        min_length=5,
        max_length=5,
        pattern=WALL_CLOCK,
        description="When it begins, on the wall clock of timeZone: 02:00.",
    )
    duration: Duration = Field(
        description="How long it lasts, 10m to 1d. No build is begun that is not expected to end within it."
    )
    time_zone: str = Field(
        default="UTC",
        min_length=1,
        max_length=64,
        pattern=TIME_ZONE,
        description="The time zone of start, such as Europe/Berlin.",
    )

    @field_validator("duration")
    @classmethod
    def _sane_duration(cls, value: float) -> float:
        return within(value, "duration", 600, DAY)

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, OSError, ValueError):
            raise ValueError(f"there is no time zone {value!r}") from None
        return value


class DatabaseAdvisorSpec(ApiModel):
    """Watches a PostgreSQL database, and says what would make it faster."""

    connection: ConnectionSpec = Field(
        description="How to connect. The administrator's configuration must allow the host."
    )
    mode: AdvisorMode = Field(
        default=AdvisorMode.RECOMMEND,
        description="Recommend: advice is given, and nothing is changed. Apply: advised indexes are created within a maintenance window, watched, and dropped again where a query got slower.",
    )
    suspend: bool = Field(default=False, description="Do not connect to the database at all.")
    interval: Duration = lasting("1m", description="How often the database is looked at, 5s to 1h.")
    advise_every: Duration = lasting(
        "1h",
        description="How often advice is made anew, 5m to 7d; it takes more than a look does. The first one comes after two looks, and another one when the spec changes.",
    )
    storage_budget: Quantity | None = Field(
        default=None,
        description="What all advised indexes may take together, such as 500Mi. By default a fifth of what the tables take.",
    )
    schemas: list[SchemaName] = Field(
        default=[],
        max_length=50,
        description="Look at the tables of these schemas alone. By default at all of them.",
    )
    exclude: list[TablePattern] = Field(
        default=[],
        max_length=50,
        description="Tables to say nothing about, as SCHEMA.TABLE; * stands for any characters.",
    )
    statement_timeout: Duration = lasting(
        "15s", description="How long one of Foretide's own statements may take, 1s to 5m."
    )
    maintenance_windows: list[MaintenanceWindowSpec] = Field(
        default=[],
        max_length=10,
        description="In mode Apply: when indexes may be created and dropped.",
    )
    max_indexes_per_window: int = Field(
        default=3,
        ge=1,
        le=20,
        description="In mode Apply: how many indexes are created in one window at the most.",
    )
    findings: int = Field(
        default=10,
        ge=1,
        le=MOST_SHOWN,
        description="How many findings of each kind status shows at the most.",
    )

    @field_validator("storage_budget")
    @classmethod
    def _positive(cls, value: float | None) -> float | None:
        if value is not None and value <= 0:
            raise ValueError("storageBudget must be greater than 0")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mode is AdvisorMode.APPLY and not self.maintenance_windows:
            raise ValueError("mode Apply needs maintenanceWindows")
        within(self.interval, "interval", 5, 3_600)
        within(self.advise_every, "adviseEvery", 300, 7 * DAY)
        within(self.statement_timeout, "statementTimeout", 1, 300)
        return self


# CEL by the path of the field; each is said in the models too, in the same words.
DATABASE_ADVISOR_RULES = {
    "spec": [
        {
            "rule": "self.mode != 'Apply' || self.maintenanceWindows.size() > 0",
            "message": "mode Apply needs maintenanceWindows",
        },
    ],
    "spec.storageBudget": QUANTITY_RULES,
}
