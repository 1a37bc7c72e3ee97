"""The library comes with the extra `cache`, and with nothing heavier."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
ALLOWED = {"foretide", "psycopg", "psycopg_binary", "redis", "typing_extensions"}

REFUSING = f"""
import sys

allowed = sys.stdlib_module_names | {ALLOWED!r}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"{{name}} is not installed", name=name)

sys.meta_path.insert(0, Refuse())
"""


def run(code):
    return subprocess.run([sys.executable, "-c", REFUSING + code], capture_output=True, text=True)


def test_the_extra_is_psycopg_and_redis():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = project["optional-dependencies"]["cache"]
    assert sorted(re.match(r"[\w.-]+", line)[0] for line in extra) == ["psycopg", "redis"]


def test_all_of_it_works_with_what_the_extra_brings():
    done = run(
        "import pkgutil, importlib\n"
        "import foretide.dbadvisor.cache as cache\n"
        "for module in pkgutil.iter_modules(cache.__path__):\n"
        "    if module.name != '__main__':\n"
        "        importlib.import_module(f'{cache.__name__}.{module.name}')\n"
        "with cache.Cache() as made:\n"
        "    made.clear()\n"
    )
    assert done.returncode == 0, done.stderr


def test_this_would_notice_a_heavy_import():
    assert "sqlglot is not installed" in run("import sqlglot").stderr
