"""The operator's configuration: what the administrator decides, in one YAML document.

It is read from a file or a ConfigMap and takes effect at once when it changes. A broken new
version is refused and the last good one stays in force.
"""

import logging
import os
import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, field_validator

from foretide.forecasting.prometheus import PrometheusSource

from .api.fields import ApiModel, Duration, lasting
from .database_settings import DatabaseSettings
from .endpoint_settings import AuthenticatedEndpoint
from .profiling_settings import ProfilingSettings
from .pyroscope_settings import PyroscopeSettings
from .store_settings import StoreSettings

logger = logging.getLogger(__name__)


class ConfigurationError(Exception):
    """The configuration cannot be used; the message says what to change."""


class SourceSettings(AuthenticatedEndpoint):
    """A Prometheus endpoint that resources may refer to by name."""

    url: str = Field(description="Base URL, for example http://prometheus.monitoring.svc:9090.")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers to send, for example X-Scope-OrgID for Mimir."
    )
    params: dict[str, str] = Field(
        default_factory=dict, description="Parameters to send with each query."
    )

    @field_validator("headers")
    @classmethod
    def _sendable(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not (re.fullmatch(r"[A-Za-z0-9-]+", name) and text.isascii() and text.isprintable()):
                raise ValueError("headers must be names and printable ASCII values")
        return value

    def to_source(self) -> PrometheusSource:
        """The source as the forecasting component takes it."""
        return PrometheusSource(
            url=self.url,
            bearer_token_file=self.bearer_token_file,
            username=self.basic_auth.username if self.basic_auth else None,
            password_file=self.basic_auth.password_file if self.basic_auth else None,
            ca_file=self.ca_file,
            headers=self.headers,
            params=self.params,
            timeout=self.timeout,
        )


class FittingSettings(ApiModel):
    """How forecasts are fitted."""

    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=max(1, min(2, (os.cpu_count() or 2) - 1)),
        description="Worker processes at the most; they start when there is work.",
    )
    cores: float = Field(
        default=0.5,
        ge=0.05,
        le=64,
        description="CPU cores that fits may use together over time. Resources without any forecast come first, and a handful is fitted at once.",
    )
    timeout: Duration = lasting("3m", description="A fit that takes longer is given up.")
    idle_timeout: Duration = lasting(
        "1m", description="Workers that have had nothing to do for this long are stopped."
    )


class OperatorSettings(ApiModel):
    """Everything an administrator can set."""

    sources: dict[str, SourceSettings] = Field(
        default_factory=dict,
        description="Prometheus endpoints by name. A resource that names none uses `default`.",
    )
    kill_switch: bool = Field(
        default=False,
        description="Stop all changes of replicas and of databases in the whole cluster, at once. Decisions are still made and reported.",
    )
    sync_period: Duration = lasting("15s", description="How often each resource is decided on.")
    max_changes_per_hour: int = Field(
        default=60,
        ge=1,
        le=100,  # status remembers no more changes than that
        description="Changes of one target's replicas, or of its autoscaler's minimum, in an hour, at the most. A reactive scale-up is never delayed.",
    )
    fitting: FittingSettings = Field(
        default_factory=FittingSettings, description="How forecasts are fitted."
    )
    store: StoreSettings | None = Field(
        default=None,
        description="The store that remembers demand for longer than Prometheus does. Without it, yearly patterns and holidays cannot be learned.",
    )
    pyroscope: PyroscopeSettings | None = Field(
        default=None,
        description="A Pyroscope that gets a copy of all profiles.",
    )

    profiling: ProfilingSettings = Field(
        default_factory=ProfilingSettings, description="How pods are profiled."
    )
    databases: DatabaseSettings = Field(
        default_factory=DatabaseSettings,
        description="Which databases DatabaseAdvisors may be connected to.",
    )

    @field_validator("sync_period")
    @classmethod
    def _sane(cls, value: float) -> float:
        if not 1 <= value <= 600:
            raise ValueError("syncPeriod must be between 1s and 10m")
        return value

    @field_validator("sources")
    @classmethod
    def _names(cls, value: dict[str, SourceSettings]) -> dict[str, SourceSettings]:
        for name in value:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", name):
                raise ValueError(f"source name {name[:70]!r} is not a DNS label")
        return value


def parse(text: str) -> OperatorSettings:
    """Read a configuration document.

    Raises:
        ConfigurationError: it is not YAML, or says something that cannot be.
    """
    try:
        document = yaml.safe_load(text)
    except Exception as error:  # PyYAML lets through what its constructors raise
        raise ConfigurationError(f"not valid YAML{_where(error)}") from None
    try:
        return OperatorSettings.model_validate({} if document is None else document)
    except ValidationError as error:
        raise ConfigurationError(explain(error)) from None


def _where(error: Exception) -> str:
    """Where YAML is broken, and how; never the text that stands there, it may hold a secret."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ""
    mark = error.problem_mark
    place = f" in line {mark.line + 1}, column {mark.column + 1}"
    fixed = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
    return f"{place}: {error.problem}" if fixed else place


def explain(error: ValidationError) -> str:
    """A validation error in one line that names each field, without the input's values."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'document'}: "
        f"{problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    )


class SettingsHolder:
    """The configuration in force, replaced as a whole; it may follow a `file`."""

    def __init__(self, settings: OperatorSettings, file: Path | None = None) -> None:
        self.current = settings
        self._text: str | None = None
        self._file = file
        self._seen: tuple[int, int, int] | None = None

    def poll(self) -> bool:
        """Take over the file if it has changed, at the cost of one `stat`; whether it was.

        What is about to change replicas calls this first, so that the kill switch acts at once.
        """
        if self._file is None:
            return False
        try:
            stat = self._file.stat()
            seen = stat.st_mtime_ns, stat.st_size, stat.st_ino
            if seen == self._seen:
                return False
            self._seen = seen
            return self.offer(read_file(self._file), origin=str(self._file))
        except OSError as error:
            logger.debug("Configuration %s: %s", self._file, error)
        except ConfigurationError as error:
            logger.error("The old configuration stays: %s", error)
        return False

    def offer(self, text: str, *, origin: str) -> bool:
        """Put a new document in force; a broken one is logged and refused."""
        if text == self._text:
            return False
        self._text = text
        try:
            fresh = parse(text)
        except ConfigurationError as error:
            logger.error("Configuration from %s is refused, the old one stays: %s", origin, error)
            return False
        if fresh.kill_switch != self.current.kill_switch:
            logger.warning("The kill switch is %s.", "on" if fresh.kill_switch else "off")
        self.current = fresh
        return True


def read_file(path: Path) -> str:
    """The text of a configuration file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from None
