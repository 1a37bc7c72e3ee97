"""The `foretide` command."""

import argparse
import asyncio
import contextlib
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from .commands import adopt, advise, backtest, profile, store
from .commands.parsing import new_parser, parse
from .commands.telling import fail, missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run one command; returns the exit status."""
    options = parse(build_parser(), arguments)
    return int(options.run(options))


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = new_parser("foretide", "A Kubernetes operator that sees load coming.")
    parser.add_argument("--version", action="version", version=f"foretide {version('foretide')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    operator = commands.add_parser(
        "operator", help="run the operator", description="Run the operator until it is stopped."
    )
    operator.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration (YAML); followed when it changes"
    )
    operator.add_argument(
        "--config-map",
        metavar="NAMESPACE/NAME",
        help="configuration in a ConfigMap, under the key foretide.yaml; followed when it changes",
    )
    operator.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="default: the pod's service account, $KUBECONFIG or ~/.kube/config",
    )
    operator.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NAME",
        help="look after this namespace only; may be repeated (default: the whole cluster)",
    )
    operator.add_argument(
        "--listen",
        default="0.0.0.0:8080",
        metavar="HOST:PORT",
        help="for /metrics, /healthz, /readyz (default: %(default)s)",
    )
    operator.add_argument(
        "--lease-namespace",
        metavar="NAME",
        default="default",
        help="namespace of the Lease for leader election (default: %(default)s)",
    )
    operator.add_argument(
        "--no-leader-election",
        action="store_true",
        help="for a single operator; two without election fight over replicas",
    )
    operator.add_argument("--log-format", choices=("json", "text"), default="json")
    operator.add_argument("--verbose", action="store_true", help="log more")
    operator.add_argument("--port-file", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    operator.add_argument("--loop-monitor", type=float, default=0.0, help=argparse.SUPPRESS)
    operator.set_defaults(run=_operator)

    crds = commands.add_parser(
        "crds", help="print the CustomResourceDefinitions", description="Print the CRDs as YAML."
    )
    crds.add_argument("plural", nargs="?", metavar="KINDS", help="only this one: profilers")
    crds.set_defaults(run=_crds)
    backtest.add_parser(commands)
    adopt.add_parser(commands)
    store.add_parser(commands)
    profile.add_parser(commands)
    advise.add_parser(commands)
    return parser


def _operator(options: argparse.Namespace) -> int:
    try:
        from . import logs, run
        from .cluster import ClusterError
        from .settings import ConfigurationError
    except ImportError as error:
        return fail(missing(error, "operator"))

    host, _, port = options.listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    config_map = tuple(options.config_map.split("/")) if options.config_map else None
    if not port.isdecimal() or int(port) > 65_535:
        return fail("--listen wants HOST:PORT, for example 0.0.0.0:8080")
    if config_map is not None and (len(config_map) != 2 or not all(config_map)):
        return fail("--config-map wants NAMESPACE/NAME")
    for name in (*options.namespace, options.lease_namespace):
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name):
            return fail(f"{name[:70]!r} is not the name of a namespace; patterns are not taken")
    if options.config and config_map:
        return fail("give --config or --config-map, not both")
    logs.configure(options.log_format, verbose=options.verbose)
    try:
        return asyncio.run(
            run.run(
                run.RunOptions(
                    config_file=options.config,
                    config_map=config_map,
                    kubeconfig=options.kubeconfig,
                    namespaces=tuple(options.namespace),
                    lease_namespace=options.lease_namespace,
                    elect=not options.no_leader_election,
                    listen_host=host,
                    listen_port=int(port),
                    port_file=options.port_file,
                    loop_monitor=options.loop_monitor,
                )
            )
        )
    except (ConfigurationError, ClusterError, OSError) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return 130


def _crds(options: argparse.Namespace) -> int:
    try:
        import yaml
    except ImportError as error:
        return fail(missing(error, "operator"))
    from .api.crds import all_crds

    definitions = all_crds()
    if options.plural is not None and options.plural not in definitions:
        return fail(f"there is no CRD {options.plural!r}, only {' and '.join(definitions)}")
    wanted = [options.plural] if options.plural else list(definitions)

    class Plain(yaml.SafeDumper):
        """Writes what is said twice twice: anchors and aliases are for machines."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    with contextlib.suppress(BrokenPipeError):
        documents = [definitions[plural] for plural in wanted]
        yaml.dump_all(documents, sys.stdout, Plain, sort_keys=False, width=100)
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
