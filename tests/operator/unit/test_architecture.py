"""docs/architecture.md names every module of the components that there are, and no other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMPONENTS = ("operator", "forecasting", "profiling", "dbadvisor", "store")


def modules_there(root):
    return {str(path.relative_to(root)) for path in root.rglob("*.py")} - {
        str(path.relative_to(root)) for path in root.rglob("__init__.py")
    }


def modules_named(text, folder, there):
    """The modules of the tables below a heading, without the component's folder.

    A cell `api/one.py`, `two.py` speaks of two modules in api/, unless the second stands above it.
    """
    part = text.partition(f"### `{folder}/`\n")[2]
    part = re.split(r"^#{2,3} ", part, maxsplit=1, flags=re.MULTILINE)[0]
    named = set()
    for cell in re.findall(r"^\| (`[^|]*) \|", part, flags=re.MULTILINE):
        inside = ""
        for name in re.findall(r"`([^`]+\.py)`", cell):
            inside = name.rpartition("/")[0] or inside
            beside = f"{inside}/{name}".lstrip("/")
            named.add(name if "/" in name or beside not in there else beside)
    return named


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_architecture_names_every_module_and_no_other(component):
    folder = f"{component}/foretide/{component}"
    there = modules_there(ROOT / folder)
    assert len(there) > 5
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = modules_named(text, folder, there)
    assert sorted(there - named) == [], "not in docs/architecture.md"
    assert sorted(named - there) == [], "only in docs/architecture.md"


def test_a_module_that_is_not_named_is_found():
    text = (
        "### `a/`\n| module | what |\n| `b.py`, `x/c.py`, `d.py` | … |\n\n## End\n| `e.py` | … |\n"
    )
    there = {"b.py", "x/c.py", "x/d.py", "x/e.py"}
    assert modules_named(text, "a", there) == {"b.py", "x/c.py", "x/d.py"}
