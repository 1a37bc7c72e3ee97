"""A flame graph as one HTML file that needs nothing else: no network, no library.

The names in it come from whoever wrote the profiled program, so all of them are data: they stand in
JSON that cannot end its element, are put on the page as text alone, and a Content-Security-Policy
allows no script but ours.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .calltree import CallTree, call_tree
from .profile import Profile, Unit

_TEMPLATE = Path(__file__).with_name("flame.html")
_DIGITS = 6


def flame_graph(profile: Profile, title: str) -> str:
    """A profile's flame graph."""
    return _page(call_tree({"all": profile}), {"all": profile}, title)


def differential(before: Profile, after: Profile, title: str) -> str:
    """A flame graph of what has changed: as wide as after, and beside it as wide as before.

    Shares are compared, so that neither rate nor duration nor load matters. What has gone is to be
    seen in the second alone.
    """
    both = {"before": before, "after": after}
    return _page(call_tree(both), both, title)


def _page(tree: CallTree, profiles: Mapping[str, Profile], title: str) -> str:
    shown = profiles["after"] if "after" in profiles else profiles["all"]
    data = {
        "title": title,
        "facts": {name: _facts(profile) for name, profile in profiles.items()},
        "unit": "counts" if shown.counts_something_else else str(shown.unit),
        "metric": "cpu" if shown.cpu > 0 else "wall",
        "functions": [[one.name, one.file] for one in tree.functions],
        "function": tree.function,
        "depth": tree.depth,
        "values": {
            name: {metric: [_short(value) for value in column] for metric, column in of.items()}
            for name, of in tree.values.items()
        },
        "leftOut": tree.left_out,
    }
    template = _TEMPLATE.read_text(encoding="utf-8")
    script = re.search(r"<script>(.*?)</script>", template, re.DOTALL)
    assert script is not None, "the template has a script"
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    # Put in at once: what one of them holds must not be taken for the place of the other.
    encoded = title.encode("utf-8", "replace").decode()
    places = {"TITLE": html.escape(encoded), "HASH": f"sha256-{digest}", "DATA": _json(data)}
    return re.sub(r"@@(TITLE|HASH|DATA)@@", lambda found: places[found[1]], template)


def _facts(profile: Profile) -> dict[str, Any]:
    return {
        "seconds": round(profile.seconds, 3),
        "samples": 0 if profile.counts_something_else else round(profile.samples),
        "startedAt": profile.started_at,
        "command": profile.command,
        "python": profile.python_version,
        "pods": len(profile.pods),
        "native": round(profile.native_cpu_seconds, 3),
        "inSeconds": profile.unit is Unit.SECONDS,
    }


def _short(value: float) -> float | int:
    rounded = round(value, _DIGITS)
    return int(rounded) if rounded == int(rounded) else rounded


def _json(data: Any) -> str:
    """JSON that may stand in a script element: nothing in it can end that, or a line of script."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
