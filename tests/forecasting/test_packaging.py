"""What must stay out: heavy libraries where they have no business, and files that shadow Python."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPONENTS = [
    "operator",
    "forecasting",
    "profiling",
    "dbadvisor",
    "loadgen",
    "capacity",
    "dashboard",
    "store",
]
LIGHT = [
    f"foretide.forecasting.{module}"
    for module in (
        "demand",
        "behavior",
        "forecast",
        "decision",
        "explanation",
        "prometheus",
        "worker",
    )
]
HEAVY = [
    "pandas",
    "scipy",
    "lightgbm",
    "statsforecast",
    "prophet",
    "prometheus_api_client",
    "cmdstanpy",
    "matplotlib",
]

REFUSING = """
import sys

allowed = sys.stdlib_module_names | set({allowed!r})

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        # The standard library's own, under a name of the platform.
        if top not in allowed and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"{{name}} is not installed", name=name)

sys.meta_path.insert(0, Refuse())
{code}
"""


@pytest.fixture
def interpreter():
    """Runs code in an interpreter of its own, and returns what it prints; failing, it fails."""

    def run(code):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def base_install(interpreter):
    """The same, but only what `pip install foretide` brings along can be imported."""

    def run(code):
        wanted = with_requirements("httpx", "pydantic")
        modules = [
            module
            for module, distributions in packages_distributions().items()
            if wanted & {normal(name) for name in distributions}
        ]
        return interpreter(REFUSING.format(allowed=["foretide", *modules], code=code))

    return run


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def with_requirements(*names):
    """The distributions and all that they require; extras are left out."""
    found, ahead = set(), [normal(name) for name in names]
    while ahead:
        if (name := ahead.pop()) not in found:
            found.add(name)
            needed = [line for line in requires(name) or () if "extra ==" not in line]
            ahead += [normal(re.match(r"[\w.-]+", line)[0]) for line in needed if "; " not in line]
    return found


def test_the_base_install_depends_on_httpx_and_pydantic_only():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = sorted(re.match(r"[\w.-]+", line)[0] for line in project["dependencies"])
    assert names == ["httpx", "pydantic"]


@pytest.mark.slow
def test_the_decision_and_its_door_to_prometheus_work_in_the_base_install(base_install):
    base_install(f"import {', '.join(LIGHT)}")


def test_the_base_install_would_notice_a_heavy_import(base_install):
    with pytest.raises(AssertionError, match="pandas is not installed"):
        base_install("import pandas")


@pytest.mark.slow
def test_in_the_base_install_the_command_says_what_to_install(base_install):
    said = base_install(
        "import contextlib, io\n"
        "from foretide.operator.main import main\n"
        "with contextlib.redirect_stderr(io.StringIO()) as said:\n"
        "    status = main(['operator']), main(['crds'])\n"
        "print(status, said.getvalue())"
    )
    assert said.startswith("(2, 2)")
    assert said.count("in a clone of Foretide, pip install '.[operator]'") == 2


@pytest.mark.slow
def test_the_main_process_loads_no_library_that_only_fits_need(interpreter):
    loaded = interpreter("import foretide.operator.run, sys; print(*sys.modules)").split()
    assert set(LIGHT) <= set(loaded)
    assert not set(HEAVY) & set(loaded)


@pytest.mark.slow
def test_help_loads_nothing_but_the_standard_library(interpreter):
    """Each command imports what it needs when it runs: to say what there is takes no time."""
    code = "from foretide.operator.main import build_parser; build_parser(); import sys; "
    loaded = interpreter(code + "print(*sys.modules)").split()
    ours = {name for name in loaded if name.partition(".")[0] == "foretide"}
    assert "foretide.operator.commands.store_where" in ours
    assert not {"httpx", "pydantic", "numpy", "yaml", "psycopg", "sqlalchemy"} & set(loaded)


def test_no_folder_of_a_component_or_of_the_namespace_is_a_package():
    """A package called `operator` at the root would shadow the standard library's."""
    folders = [ROOT / name for name in COMPONENTS]
    folders += [folder / "foretide" for folder in folders]
    assert not [folder for folder in folders if (folder / "__init__.py").exists()]


def test_no_folder_of_tests_is_a_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_component_is_in_the_wheel_and_in_the_editable_install():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = build["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == [f"{name}/foretide" for name in COMPONENTS]
    assert wheel["dev-mode-dirs"] == COMPONENTS


def test_the_standard_library_is_itself_in_the_root_of_the_repository():
    code = "import sys; sys.path.insert(0, ''); import operator, collections; operator.eq"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
