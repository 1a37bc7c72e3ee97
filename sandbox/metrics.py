"""The command lines on the side of metrics: player, history, Prometheus, the HPA's adapter."""

import sys

from sandbox.plan import LOOPBACK, Command, Plan
from sandbox.spec import SCRAPE_LABELS


def player(plan: Plan) -> Command:
    """What Prometheus scrapes."""
    argv = _python(plan, "player", str(plan.ports["player"]), repr(plan.started))
    return Command("player", argv, f"{plan.url('player')}/modes")


def history(plan: Plan) -> Command:
    """The job that writes the traces' past."""
    argv = _python(plan, "history", plan.binaries["promtool"], repr(plan.started))
    return Command("history", argv, None)


def prometheus(plan: Plan, *, after: tuple[str, ...]) -> Command:
    """The real Prometheus, once the past is written."""
    argv = (
        plan.binaries["prometheus"],
        f"--config.file={plan.config('prometheus.json')}",
        f"--storage.tsdb.path={plan.layout.directory / 'prometheus'}",
        # A trace may be years old: nothing is ever too old for a sandbox.
        "--storage.tsdb.retention.time=100y",
        f"--query.lookback-delta={round(plan.spec.lookback_seconds * 1000)}ms",
        f"--web.listen-address={LOOPBACK}:{plan.ports['prometheus']}",
        # Prometheus would wait five seconds for more targets before it scrapes the only one.
        "--scrape.discovery-reload-interval=100ms",
        "--log.level=warn",
    )
    return Command("prometheus", argv, f"{plan.url('prometheus')}/-/ready", after)


def prometheus_config(plan: Plan) -> dict[str, object]:
    """Prometheus' configuration (as JSON, which is YAML too)."""
    interval = f"{round(plan.spec.scrape_seconds * 1000)}ms"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            {
                "job_name": SCRAPE_LABELS["job"],
                # The player states the time of each sample, so that it can show old ones; an
                # absent series must nevertheless be gone at the next scrape.
                "honor_timestamps": True,
                "track_timestamps_staleness": True,
                "static_configs": [
                    {
                        "targets": [f"{LOOPBACK}:{plan.ports['player']}"],
                        "labels": {"instance": SCRAPE_LABELS["instance"]},
                    }
                ],
            }
        ],
    }


def external_metrics(plan: Plan) -> Command:
    """The adapter from Prometheus to the HPA."""
    name = "external-metrics"
    argv = _python(plan, "adapter", str(plan.ports[name]), plan.url("prometheus"))
    health = f"{plan.url(name, scheme='https')}/apis/external.metrics.k8s.io/v1beta1"
    return Command(name, argv, health)


def _python(plan: Plan, module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"sandbox.{module}", str(plan.layout.directory), *arguments)
