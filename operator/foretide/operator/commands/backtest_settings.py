"""The settings that a backtest advises, as a manifest, and what to do with them."""

import argparse
from typing import TYPE_CHECKING

from ..api.fields import format_duration

if TYPE_CHECKING:
    from foretide.forecasting.backtest.advice import Advice
    from foretide.forecasting.backtest.contest import Contest

_QUERY_WANTED = "PUT THE QUERY HERE THAT THE FILE WAS RECORDED WITH"


def manifest(contest: "Contest", advice: "Advice", options: argparse.Namespace) -> str:
    """A PredictiveScaler with the advised settings, as YAML."""
    import yaml

    metric = {
        "name": "demand",
        "query": options.query or _QUERY_WANTED,
        "perReplica": _plain(contest.trace.per_replica),
        "targetUtilization": advice.utilization,
    }
    if options.config and options.source != "default":
        metric["source"] = options.source
    # A quarter more than was ever wanted: growth must not end at a limit that nobody remembers.
    most = max(contest.min_replicas + 1, round(advice.ours.most_replicas * 1.25))
    forecast = {"leadTime": format_duration(advice.delay)}
    if contest.fits.zone != "UTC":
        forecast["timeZone"] = contest.fits.zone
    made = {
        "apiVersion": "foretide.dev/v1alpha1",
        "kind": "PredictiveScaler",
        "metadata": {"name": options.name},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": options.name},
            "minReplicas": contest.min_replicas,
            "maxReplicas": options.max_replicas or most,
            "mode": "Recommend",
            "metrics": [metric],
            "forecast": forecast,
        },
    }
    return str(yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=100))


def next_steps(options: argparse.Namespace) -> str:
    """What to do with the manifest: comments in YAML, so that both can be copied as one."""
    name, file = options.name, options.manifest or f"{options.name}.yaml"
    save = [] if options.manifest else [f"save this as {file}"]
    query = [] if options.query else ["put your query in"]
    first = ", ".join([*save, *query, f"see that the Deployment's name is {name} (--name)"])
    steps = (
        "What to do next (docs/backtest.md says more):",
        f"1. {first[0].upper()}{first[1:]}, and",
        f"   kubectl apply -f {file}",
        "2. It changes nothing yet. After a day, see what would have been (status.shadow):",
        f"   kubectl get pscaler {name} -o jsonpath='{{.status.shadow.message}}'",
        "3. When you trust it, let it act. An HPA on the target must go first, or stays in charge",
        "   with actuation: HPAFloor (foretide adopt takes it over):",
        f'   kubectl patch pscaler {name} --type merge -p \'{{"spec":{{"mode":"Auto"}}}}\'',
    )
    return "\n".join(f"# {line}" for line in steps)


def _plain(number: float) -> float | int:
    return int(number) if number == int(number) else number
